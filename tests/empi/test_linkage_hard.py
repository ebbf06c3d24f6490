"""The bench over small populations: ours, and one that was built otherwise and that nothing is tuned on."""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path

import other_population
import pytest
import third_population

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    yield importlib.import_module("linkage_hard")
    for name in ("linkage_hard", "population", "_names", "_errors", "_plain_splink"):
        sys.modules.pop(name, None)


def figures(output: str) -> dict[str, float]:
    line = next(each for each in output.splitlines() if each.startswith("figure: linkage-hard"))
    return {key: float(value) for key, value in (part.split("=") for part in line.split()[2:])}


def test_a_generated_population(bench, capsys):
    """Few rows, so the bars stand a little lower than at 100,000; no twins all the same."""
    bench.main(["--rows", "12000", "--seed", "3", "--only", "ours"])
    found = figures(capsys.readouterr().out)
    assert found["auto_precision"] >= 0.998
    assert found["auto_recall"] >= 0.95
    assert found["twins_merged"] == 0
    assert found["f1_clustered"] >= 0.985
    assert found["review_rate"] <= 0.035


def test_another_population_from_a_file(bench, capsys, tmp_path):
    """Dates in several forms, numbers in lower case, default phones, other errors."""
    path = tmp_path / "rows.csv"
    rows = list(other_population.rows(12_000, seed=11))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    bench.main(["--file", str(path), "--only", "ours"])
    found = figures(capsys.readouterr().out)
    assert found["auto_precision"] >= 0.998
    assert found["auto_recall"] >= 0.95
    assert found["twins_merged"] == 0
    assert found["review_rate"] <= 0.035


def test_a_third_population_from_a_file(bench, capsys, tmp_path):
    """Default phones and dates, a college as address, remarks behind names, numbers of somebody else at home."""
    path = tmp_path / "rows.csv"
    rows = list(third_population.rows(12_000, seed=12))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    bench.main(["--file", str(path), "--only", "ours"])
    found = figures(capsys.readouterr().out)
    assert found["auto_precision"] >= 0.998
    assert found["auto_recall"] >= 0.95
    assert found["twins_merged"] == 0
    assert found["review_rate"] <= 0.035


def test_dates_as_people_write_them(bench):
    for written in (
        "1990-01-02",
        "1990/1/2",
        "19900102",
        "1990年1月2日",
        "1990.01.02",
        "1990-01-02 00:00:00",
        "１９９０-1-2",
    ):
        assert bench.iso_date(written) == "1990-01-02"
    for written in ("", "1990", "未知", "1990-13"):
        assert bench.iso_date(written) == ""


def test_the_same_seed_makes_the_same_rows(bench):
    population = importlib.import_module("population")
    once, again, other = (
        list(population.Population(seed=seed, levels=population.Levels()).rows(300)) for seed in (5, 5, 6)
    )
    assert once == again
    assert once != other
    assert len({row[0] for row in once}) == 300


def test_what_is_merged_is_counted(bench):
    """Judging is judged: two twins in one cluster are found, namesakes who live apart are no twins."""
    columns = {
        "name": ["张晓华", "张晓燕", "王伟", "王伟"],
        "phone": ["1", "1", "2", "3"],
        "address": ["a", "b", "c", "d"],
        "person": ["p1", "p2", "p3", "p4"],
    }
    births = ["2000-01-02", "2000-01-02", "1990-05-05", "1990-05-05"]
    assert bench.twins_merged([0, 0, 2, 2], columns, births, columns["person"]) == 1
    assert bench.twins_merged([0, 1, 2, 2], columns, births, columns["person"]) == 0
    precision, recall, f1 = bench.shares([0, 0, 2, 2], ["p", "p", "q", "r"])
    assert (precision, recall) == (0.5, 1.0)
    assert f1 == pytest.approx(2 / 3)
