"""Pages fetch nothing from another host; no file names a machine's own places."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from house_rules import PACKAGE, ROOT

FOREIGN = re.compile(
    r"""(?:src|href|action|srcset|data)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import"""
)
LOADED = re.compile(r"""(?:fetch|import|open|EventSource|WebSocket|Worker)\(\s*[`"'](?:https?|wss?):""")
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
OWN_PLACE = "|" + re.escape(f"{ROOT}/") if len(ROOT.parts) > 2 else ""
MACHINE = re.compile(r"/home/\w|/Users/\w|/root/|[A-Z]:\\Users|file://|/tmp/(?!\{)[a-z]" + OWN_PLACE)
NOT_OURS = ("vendor/", "package-lock.json", ".lock", ".svg", ".png", ".pdf")


def page_files() -> list[Path]:
    found = [path for kind in ("html", "css", "js") for path in PACKAGE.rglob(f"*.{kind}")]
    return sorted(path for path in found if "vendor" not in path.parts)


@pytest.mark.parametrize("path", page_files(), ids=lambda path: path.name)
def test_nothing_comes_from_another_host(path: Path) -> None:
    text = path.read_text()
    assert FOREIGN.findall(text) + LOADED.findall(text) == []


def templates() -> list[Path]:
    """Return our pages; the payer's page of the simulated channel stands for somebody else's."""
    return [path for path in page_files() if path.suffix == ".html" and "sandbox" not in path.parts]


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.name)
def test_no_inline_script_or_style(path: Path) -> None:
    assert INLINE.findall(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.test/x.js">',
        '<img src="//cdn.test/x.png">',
        "a{background:url(http://x.test/a)}",
        '@import "x.css"',
    ],
)
def test_planted_foreign_file_is_found(text: str) -> None:
    assert FOREIGN.search(text)


@pytest.mark.parametrize("text", ["<script>1</script>", '<b style="color:red">', '<a onclick="x()">'])
def test_planted_inline_part_is_found(text: str) -> None:
    assert INLINE.search(text)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = [name for name in listed.split("\0") if name]
    if not names:  # an unpacked archive, without its history
        names = [str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")]
    return [ROOT / name for name in names if not any(part in name for part in NOT_OURS)]


def test_no_machine_paths() -> None:
    found = []
    for path in tracked():
        if path.is_file() and path != Path(__file__):
            text = path.read_text(errors="replace")
            found += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in text.splitlines() if MACHINE.search(line)]
    assert found == []


@pytest.mark.parametrize("text", ["/home/someone/project", "see /tmp/notes.txt", "C:\\Users\\me", "/root/x"])
def test_planted_machine_path_is_found(text: str) -> None:
    assert MACHINE.search(text)
