"""The payments kill drill as the command line runs it, small, with a seed drawn anew; a failure prints it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FIGURE = re.compile(
    r"figure: payments-kill kills=(\d+) database=(\d+) lost=0 doubled=0 wrong=0 acknowledged=(\d+) seconds=\d+ seed=\d+"
)


def test_no_payment_is_lost_or_doubled_by_dense_kills():
    command = [sys.executable, "-m", "yimatong.cli.main", "drill", "payments-kill"]
    command += ["--kills", "16", "--database-kills", "4", "--payers", "4", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = f"{done.stdout}\n{done.stderr[-6000:]}"
    assert done.returncode == 0, said
    figure = FIGURE.search(done.stdout)
    assert figure is not None, said
    kills, databases, acknowledged = map(int, figure.groups())
    assert kills >= 16, said
    assert databases >= 4, said
    assert acknowledged >= 10, said
