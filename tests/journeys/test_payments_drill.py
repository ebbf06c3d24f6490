"""The payments drill: a few seeds hold, a seed runs again exactly, and every planted bug is found."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FIGURE = re.compile(
    r"figure: payments seeds=(\d+) ops=(\d+) faults=(\d+) breaks=(\d+) planted=(\d+) caught=(\d+) seconds=\d+"
)


def drill(*arguments: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "yimatong.cli.main", "drill", "payments", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("plant", ["late-money-dropped", "booked-twice"])
def test_seeds_hold_and_a_planted_bug_is_found(plant):
    """Two of the planted bugs: all of them take a quarter of an hour (``ymt drill payments``)."""
    done = drill("--seeds", "2", "--deep-every", "2", "--plant", plant)
    said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    figure = FIGURE.search(done.stdout)
    assert figure is not None, said
    seeds, ops, faults, breaks, planted, caught = map(int, figure.groups())
    assert (seeds, breaks, planted, caught) == (2, 0, 1, 1), said
    assert ops >= 200 * seeds, said
    assert faults >= 2, said
    assert done.returncode == 0, said


def test_a_seed_runs_again_exactly_whatever_the_process_hashes_with():
    first, second = (drill("--seed", "4711", "--plant", "none", hash_seed=each) for each in ("1", "2"))
    assert first.returncode == 0, first.stdout[-4000:] + first.stderr[-4000:]
    assert re.search(r"^seed 4711 digest [0-9a-f]{16} ops \d{3}", first.stdout, re.MULTILINE)
    assert first.stdout == second.stdout
