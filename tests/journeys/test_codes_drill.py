"""The codes drill in small: two core processes, forged, swapped, replayed and genuine codes, five planted bugs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from yimatong.cli.places import CHECKOUT

pytestmark = pytest.mark.timeout(900)


def test_the_quick_codes_drill_takes_nothing_forged_and_sees_every_planted_bug() -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "drills" / "codes.py"), "--quick", "--seed", "605914"],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    figures = dict(re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("figure: codes")[2]))
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert {name: figures[name] for name in ("accepted", "refused_good", "double_use", "nodes")} == {
        "accepted": "0",
        "refused_good": "0",
        "double_use": "0",
        "nodes": "2",
    }
    assert figures["planted"] == figures["caught"] == "5"
