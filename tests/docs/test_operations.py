"""docs/operations.md names every log code, setting, process and port as the code has them; links lead somewhere."""

import importlib
import logging
import pkgutil
import re
from pathlib import Path

import msgspec
import pytest

import yimatong
from yimatong.cli import ports
from yimatong.cli.processes import PROCESSES
from yimatong.kit.log import LogRef
from yimatong.kit.settings import Settings

PAGE = "docs/operations.md"
ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.relative_to(ROOT).as_posix() for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern))


def test_log_table_is_the_catalogue(text_of):
    for module in pkgutil.walk_packages(yimatong.__path__, "yimatong."):
        importlib.import_module(module.name)
    catalogues = (kind for kind in LogRef.__subclasses__() if kind.__module__.startswith("yimatong."))
    wanted = {
        (code, logging.getLevelName(level).lower(), text)
        for kind in catalogues
        for code, level, text in (entry.value for entry in kind)
    }
    rows = re.findall(r"^\| `([A-Z]+-L\d{3})` \| (\w+) \| (.*) \|$", text_of(PAGE), re.MULTILINE)
    assert set(rows) == wanted


def test_every_setting_is_described(text_of):
    named = set(re.findall(r"`\[?([a-z_]+)\]?`", text_of(PAGE).split("## settings.toml")[1].split("## Processes")[0]))
    assert {field.name for field in msgspec.structs.fields(Settings)} <= named


def test_processes_and_ports(text_of):
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{4})", text_of(PAGE), re.MULTILINE))
    assert rows == {name: str(ports.ports(ports.BASE)[name]) for name in PROCESSES}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(text_of, name):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(name)):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        there = (ROOT / name).parent / path if path else ROOT / name
        assert there.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, target
