"""A process imports nothing large at its start that it may never need: a start, and a restart at night, is seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from yimatong.cli.processes import PROCESSES, module_of

LARGE = ("duckdb", "splink", "pyarrow", "pandas", "numpy", "opencc", "pypinyin", "lxml", "fhir", "pydantic", "hl7")
AT_ONCE = {
    "health": {"lxml", "hl7"},
    "sandbox": {"lxml"},
}
"""What a process cannot answer its first request without: the health interfaces and some simulators speak XML."""

ASKED = "import importlib, sys; importlib.import_module({module!r}); print(*(n for n in {large!r} if n in sys.modules))"


def imported(module: str) -> set[str]:
    command = [sys.executable, "-c", ASKED.format(module=module, large=LARGE)]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("process", PROCESSES)
def test_process_starts_without_what_it_may_never_need(process: str) -> None:
    assert imported(module_of(process)) <= AT_ONCE.get(process, set())


def test_command_line_starts_without_any() -> None:
    assert imported("yimatong.cli.main") == set()


def test_an_import_is_seen() -> None:
    assert imported("duckdb") == {"duckdb"}
