"""The tools that hold the style: ruff with everything on, its formatter, mypy strict over the whole source."""

from __future__ import annotations

import subprocess
import sys

import pytest
from house_rules import ROOT


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "--no-cache", "."), ("ruff", "format", "--check", "--no-cache", "."), ("mypy",)],
    ids=["ruff", "format", "mypy"],
)
def test_tool_is_content(command: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
