"""The order of the rooms, held by import-linter on the real tree and on a copy with a planted fault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from house_rules import PACKAGE, ROOT

_LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    """Run the project's contracts over a source folder."""
    return subprocess.run(
        [sys.executable, "-c", _LINT, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(ROOT / "sdk" / "python")])},
        cwd=source.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_are_kept() -> None:
    done = lint(PACKAGE.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("kit/clock.py", "from yimatong.payments import desk"),
        ("cards/codec.py", "from yimatong.payments import numbers"),
        ("access/sessions.py", "from yimatong.sandbox import store"),
        ("crypto/tokens.py", "from yimatong.cards import codec"),
        ("new_room/__init__.py", ""),
    ],
)
def test_planted_fault_breaks_a_contract(tmp_path: Path, file: str, line: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "yimatong", ignore=shutil.ignore_patterns("static", "__pycache__"))
    planted = tmp_path / "yimatong" / file
    planted.parent.mkdir(exist_ok=True)
    before = planted.read_text() if planted.exists() else '"""A room in no layer."""\n'
    planted.write_text(f"{before}\n{line}\n")
    assert lint(tmp_path).returncode != 0
