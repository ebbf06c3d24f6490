"""The installer: locks that name no host, and failures told in one sentence."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def install(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bootstrap_install", ROOT / "bootstrap" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LOG", tmp_path / "install.log")
    return module


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.lock")), ids=lambda path: path.name)
def test_lock_pins_and_hashes_everything_and_names_no_host(path):
    text = path.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert all(re.match(r"[a-z0-9-]+==\S+.*\\\n +--hash=sha256:", entry) for entry in entries)


def test_lock_of_browser_files_names_no_host():
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert not any("resolved" in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)


@pytest.mark.parametrize(
    ("logged", "told"),
    [
        ("error: command 'gcc' failed: No such file or directory", "缺少 C 编译器"),
        ("OSError: [Errno 28] No space left on device", "磁盘空间不足"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "校验值"),
        ("npm error code ENOTFOUND", "无法连接软件包仓库"),
        ("something else", "详情见"),
    ],
)
def test_failure_is_told_by_its_cause(install, logged, told):
    install.LOG.write_text(f"$ uv pip install\n{logged}\n")
    assert told in install.reason()


def test_failed_step_is_logged_and_shown(install, capsys):
    assert not install.step("试一试 / trying", [sys.executable, "-c", "raise SystemExit('told why')"])
    assert "told why" in install.LOG.read_text()
    assert "✘ 试一试 / trying" in capsys.readouterr().out


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    """A file stands where the folder should be made, which not even root can write into."""
    (tmp_path / "bootstrap").mkdir()
    (tmp_path / "bootstrap" / "install.py").write_bytes((ROOT / "bootstrap" / "install.py").read_bytes())
    (tmp_path / ".venv").write_text("")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "bootstrap" / "install.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert str(tmp_path / ".venv") in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_compiler_is_missed_where_there_is_none_and_only_there(install, tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not install.has_compiler()
    compiler = tmp_path / "clang"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    assert install.has_compiler()
    assert (ROOT / install.COMPILER).exists()
