#!/usr/bin/env python3
"""Make the lock files again: ``make relock``. Takes the newest versions that ``pyproject.toml`` allows.

Every lock is universal (all systems, Python >= 3.11) and carries hashes and no address of an index, so that each
site's own mirror serves it. The local distributions stay out: they are installed from the checkout.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCAL = "yimatong-sdk"
BUILD = ["setuptools>=80"]
"""Builds the two local distributions without build isolation."""

FLAGS = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header"]
FLAGS += ["--no-annotate", "--python-version", "3.11", "--no-sources", "--quiet", "--upgrade"]


def compile_lock(name: str, wanted: list[str], *, constraint: str = "") -> None:
    """Write one lock file from requirement lines, holding to the versions of the ``constraint`` lock."""
    command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "-", *FLAGS, "--output-file", name]
    if constraint:
        command += ["--constraint", constraint]
    subprocess.run(command, cwd=ROOT, input="\n".join(wanted), text=True, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    text = (ROOT / name).read_text()
    if "://" in text:
        sys.exit(f"{name}: 锁文件里出现了地址 / an address stands in the lock")
    sys.stdout.write(f"{name}: {len(re.findall('^[a-z]', text, re.MULTILINE))}\n")


def main() -> None:
    """Make all locks."""
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())
    sdk = tomllib.loads((ROOT / "sdk/python/pyproject.toml").read_text())
    groups = ours["dependency-groups"]
    runtime = [line for line in ours["project"]["dependencies"] if not line.startswith(LOCAL)]
    runtime += [*sdk["project"]["dependencies"], *BUILD]
    compile_lock("requirements-uv.lock", ["uv"])
    compile_lock("requirements.lock", runtime)
    compile_lock("requirements-test.lock", runtime + groups["test"], constraint="requirements.lock")
    compile_lock("requirements-node.lock", groups["node"])
    compile_lock("requirements-compiler.lock", groups["compiler"])
    subprocess.run(["npm", "install", "--package-lock-only"], cwd=ROOT, check=True)  # noqa: S607


if __name__ == "__main__":
    main()
