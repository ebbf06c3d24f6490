"""The key drill in small: rotations under load on two core processes, re-sealing through SIGKILLs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from yimatong.cli.places import CHECKOUT

pytestmark = pytest.mark.timeout(900)


def test_the_quick_key_drill_refuses_no_good_code_and_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "drills" / "keys.py"), "--quick"],
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    figures = {
        name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("figure: keys")[2])
    }
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    zeros = ("refused_good", "vuids_changed", "accepted_after_switch_off", "wrong_version", "lost_updates", "unopened")
    assert {name: figures[name] for name in zeros} == dict.fromkeys(zeros, 0)
    assert figures["rotations"] == figures["nodes"] == 2
    assert figures["codes"] > 10
    assert figures["reseal_kills"] >= 6
    assert figures["reseal_rows"] >= 6_000
