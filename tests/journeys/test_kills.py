"""The kill drill as the command line runs it, with a seed drawn anew; a failure prints it, to be run again."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FIGURE = re.compile(
    r"figure: kills kills=(\d+) payment=(\d+) database=(\d+) acknowledged=(\d+) lost=0 doubled=0 seconds=\d+ seed=\d+"
)


def test_nothing_acknowledged_is_lost_or_doubled_by_kills():
    command = [sys.executable, "-m", "yimatong.cli.main", "drill", "kills", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = f"{done.stdout}\n{done.stderr[-6000:]}"
    assert done.returncode == 0, said
    assert done.stdout.startswith("seed "), said
    figure = FIGURE.search(done.stdout)
    assert figure is not None, said
    kills, payment, database, acknowledged = map(int, figure.groups())
    assert kills >= 20, said
    assert payment >= 5, said
    assert database >= 3, said
    assert acknowledged >= 40, said
