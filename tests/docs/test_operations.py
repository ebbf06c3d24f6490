"""docs/operations.md names every log code, setting, process, port, command, job and alarm as the code has them."""

import ast
import importlib
import logging
import pkgutil
import re
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import typer

import yimatong
from yimatong.access.caller import PERMISSIONS
from yimatong.apps.schedule import schedule
from yimatong.cli import (
    channels,
    demo,
    domains,
    imports,
    keys,
    main,
    match,
    national,
    outbox,
    ports,
    reconcile,
    records,
    verify,
)
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
    named = set(
        re.findall(r"`\[?([a-z0-9_]+)\]?`", text_of(PAGE).split("## settings.toml")[1].split("## Processes")[0])
    )
    assert {field.name for field in msgspec.structs.fields(Settings)} <= named


def test_processes_and_ports(text_of):
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{4})", text_of(PAGE), re.MULTILINE))
    assert rows == {name: str(ports.ports(ports.BASE)[name]) for name in PROCESSES}


def commands(group, name="ymt"):
    for part, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, f"{name} {part}")
        else:
            yield f"{name} {part}"


def test_every_command_is_described(text_of):
    for module in (reconcile, imports, demo, verify, records, keys, outbox, match, domains, national, channels):
        module.register(main.app)
    known = set(commands(typer.main.get_command(main.app)))
    assert {"ymt up", "ymt keys propose", "ymt records archive"} <= known
    cells = re.findall(r"^\| (`ymt .+?`) \| ", text_of(PAGE).split("## Commands")[1].split("\n## ")[0], re.MULTILINE)
    named = {re.sub(r"( [A-Z]+)+$", "", each) for cell in cells for each in re.findall(r"`(.+?)`", cell)}
    assert named == known


def test_every_job_is_described_with_its_time(text_of):
    table = text_of(PAGE).split("## Schedule")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z]+\.[a-z_-]+)` \| (.+?) \| ", table, re.MULTILINE))
    scheduled = schedule(SimpleNamespace(settings=SimpleNamespace(database_url="postgresql://nobody@/none")))
    assert set(rows) == {name for name in scheduled.tasks if not name.startswith(("builtin:", "procrastinate."))}
    clocks = {task.task.name: task.cron.split() for task in scheduled.periodic_registry.periodic_tasks.values()}
    assert {"access.reseal", "records.archive"} <= clocks.keys()
    for name, (minute, hour, *_) in clocks.items():
        if hour.isdigit():
            assert f"{(int(hour) + 8) % 24:02}:{int(minute):02}" in rows[name], name
        else:
            assert "every" in rows[name], name


def alarm_kinds():
    """Every kind that some module raises: a constant of the module, or a text in the call."""
    for found in pkgutil.walk_packages(yimatong.__path__, "yimatong."):
        module = importlib.import_module(found.name)
        tree = ast.parse(Path(module.__file__).read_text("utf-8"))
        prefix = "payments:" if found.name.startswith("yimatong.payments.") else ""
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name == "raising":
                yield module.ALARM
            for each in call.keywords if name == "raise_alarm" else ():
                if each.arg == "kind" and isinstance(each.value, ast.Constant):
                    yield prefix + each.value.value
                elif each.arg == "kind" and isinstance(each.value, ast.Name):
                    yield getattr(module, each.value.id)


def test_every_alarm_has_its_line(text_of):
    table = text_of(PAGE).split("## Alarms")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z:_-]+)` \|", table, re.MULTILINE)) == set(alarm_kinds())


def test_who_may_what_is_what_the_edge_allows(text_of):
    rows = re.findall(r"^\| `([a-z]+)` \| \w+ \| (.+) \|$", text_of("docs/spec/api.md"), re.MULTILINE)
    told = {kind: set(re.findall(r"`([a-z-]+:[a-z-]+)`", cell)) for kind, cell in rows}
    assert told == {kind: set(allowed) for kind, allowed in PERMISSIONS.items()}


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
