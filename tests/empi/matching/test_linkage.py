"""Training and bulk linkage over a small made-up population; what is refused, and what stays in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from yimatong.empi.errors import LinkageColumns, LinkageMemory, SpillNotEncrypted, TrainingImpossible
from yimatong.empi.linkage import bulk, duck, preparing, results, training
from yimatong.empi.linkage.preparing import FACTS
from yimatong.empi.matching import model as models
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching.facts import Facts
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.scoring import Scorer, Thresholds
from yimatong.standards.id_number import check_digit

_PEOPLE = 400


def _rows() -> list[list[str | None]]:
    """Return each person twice: the second time every third number is missing and every fifth phone changed."""
    surnames, given = "王李张刘陈杨赵黄周吴", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚"
    columns: list[list[str | None]] = [[] for _ in FACTS]
    for again in (False, True):
        for number in range(_PEOPLE):
            born = f"{1950 + number % 50}-{1 + number % 12:02d}-{1 + number % 28:02d}"
            first17 = f"610102{born.replace('-', '')}{number % 500:03d}"
            name = surnames[number % 10] + given[number * 7 % 20] + given[number * 3 % 19]
            sex = "1" if int(first17[16]) % 2 else "2"
            id_number = None if again and number % 3 == 0 else first17 + check_digit(first17)
            phone = f"1{38 if again and number % 5 == 0 else 39}{number * 7919 % 10**8:08d}"
            street = f"陕西省西安市雁塔区长安南路{number % 90 + 1}号{number % 7 + 1}单元"
            values = (name, sex, born, "01", id_number, phone, street)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
    return columns


@pytest.fixture(scope="module")
def trained() -> Model:
    """Return a model learnt from the rows."""
    settings = configuration.shipped()
    with duck.opened(memory_mb=600) as connection:
        preparing.load(connection, settings, [_rows()])
        found = training.train(connection, settings, fallback=None)
    assert found.records == 2 * _PEOPLE
    return found.model


def test_a_model_is_learnt_from_records(trained: Model) -> None:
    """Agreement speaks for one person, difference against; all shares are shares; the same seed, the same model."""
    for comparison in trained.settings.comparisons:
        shares = trained.learnt[comparison.name].values()
        assert sum(each.m for each in shares) == pytest.approx(1)
        assert sum(each.u for each in shares) == pytest.approx(1)
        assert max(each.weight for each in shares) > 0 > min(each.weight for each in shares)
    assert trained.prior == pytest.approx(_PEOPLE / (2 * _PEOPLE * (2 * _PEOPLE - 1) / 2), rel=0.4)
    with duck.opened(memory_mb=600) as connection:
        preparing.load(connection, trained.settings, [_rows()])
        again = training.train(connection, trained.settings).model
    assert again.learnt.keys() == trained.learnt.keys()
    assert again.prior == trained.prior


def test_values_that_everybody_shares_say_nothing(tmp_path: Path) -> None:
    """A desk's default phone is found by how many share it, weighs nothing in bulk, and neither does it online."""
    columns = _rows()
    columns[5] = ["13859912345" if number % 6 == 0 else phone for number, phone in enumerate(columns[5])]
    settings = configuration.shipped()
    with duck.opened(memory_mb=600) as connection:
        preparing.load(connection, settings, [columns])
        model = training.train(connection, settings).model
        left = connection.execute("SELECT count(*) FROM records WHERE phone = '13859912345'").fetchall()
    assert model.hot[0] == ("13859912345",)
    assert left == [(0,)]
    scorer = Scorer(models.read(models.write(model)))
    assert scorer.prepare(Facts(name="王伟", phone="13859912345"))["phone"] is None
    assert scorer.prepare(Facts(name="王伟", phone="13859912346"))["phone"] == "13859912346"


def test_twins_do_not_teach_that_people_have_two_numbers() -> None:
    """Expectation maximisation takes twins for one person; what is counted bounds what it may believe."""
    columns = _rows()
    for number in range(0, _PEOPLE, 4):  # a twin of every fourth: one character of the name and the number differ
        row = [column[number] for column in columns]
        first17 = str(row[4])[:14] + f"{500 + number:03d}"
        row[0], row[4] = str(row[0])[:2] + "鹏", first17 + check_digit(first17)
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    settings = configuration.shipped()
    with duck.opened(memory_mb=600) as connection:
        preparing.load(connection, settings, [columns])
        model = training.train(connection, settings).model
    assert model.learnt["id"]["two_valid"].m <= 0.001


def test_bulk_linkage_finds_the_doubles_and_scores_as_online(trained: Model, tmp_path: Path) -> None:
    """Each person's two records come together, nobody else's; a written weight is the online one."""
    with duck.opened(memory_mb=600) as connection:
        preparing.load(connection, trained.settings, [_rows()])
        thresholds = Thresholds(link=10, review=0)
        found = bulk.link(connection, trained, thresholds)
        pairs = connection.execute("SELECT l, r, weight FROM scored").fetchall()
        results.write(connection, [f"r{n}" for n in range(2 * _PEOPLE)], tmp_path / "out", thresholds)
    right = sum(found.clusters.group.get(n) == n for n in range(_PEOPLE) if found.clusters.group.get(n + _PEOPLE) == n)
    assert right >= 0.97 * _PEOPLE
    assert all(other % _PEOPLE == one % _PEOPLE for one, other in found.clusters.group.items())
    scorer = Scorer(trained)
    facts = [preparing.facts_of(row) for row in zip(*_rows(), strict=True)]
    for left, other, weight in pairs[:300]:
        assert weight == pytest.approx(
            scorer.weight(scorer.prepare(facts[left]), scorer.prepare(facts[other])), abs=1e-9
        )
    for file in ("groups.csv", "pairs.csv"):
        assert (tmp_path / "out" / file).stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "out" / "groups.csv").read_text().splitlines()) == 2 * _PEOPLE + 1


def test_a_rejected_pair_is_not_linked_again(trained: Model) -> None:
    """However good it looks; it is told as a conflict."""
    with duck.opened(memory_mb=600) as connection:
        preparing.load(connection, trained.settings, [_rows()])
        found = bulk.link(connection, trained, Thresholds(link=10, review=0), rejected=[(1, 1 + _PEOPLE)])
    assert found.clusters.group.get(1, 1) != found.clusters.group.get(1 + _PEOPLE, 1 + _PEOPLE)
    assert [(each.left, each.right, each.reason) for each in found.clusters.conflicts] == [(1, 1 + _PEOPLE, "apart")]


def test_worker_processes_prepare_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, with the same numbers, however many processes there are."""
    monkeypatch.setattr(preparing, "_WORKERS_PAY_FROM", 0)
    rows = _rows()

    def batches() -> Iterator[list[list[str | None]]]:
        for start in range(0, 2 * _PEOPLE, 90):
            yield [column[start : start + 90] for column in rows]

    seen = []
    for processes in (1, 2):
        with duck.opened(memory_mb=600) as connection:
            settings = configuration.shipped()
            preparing.load(connection, settings, batches(), rows=2 * _PEOPLE, processes=processes)
            seen.append(connection.execute("SELECT * FROM records ORDER BY id").fetchall())
    assert seen[0] == seen[1]


def test_too_little_to_learn_from_is_refused() -> None:
    """Twenty rows; and rows without one certain pair."""
    settings = configuration.shipped()
    rows = _rows()
    with duck.opened(memory_mb=600) as connection:
        preparing.load(connection, settings, [[column[:20] for column in rows]])
        with pytest.raises(TrainingImpossible):
            training.train(connection, settings)
        preparing.load(connection, settings, [[column[:_PEOPLE] for column in rows]])
        with pytest.raises(TrainingImpossible):
            training.train(connection, settings)


def test_a_file_without_a_column_is_refused() -> None:
    """By the name of the column."""
    with pytest.raises(LinkageColumns, match="phone"):
        preparing.require_columns(["name"], ["name", "phone"])


def test_too_little_memory_is_a_named_error_and_nothing_is_spilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB writes no temporary file by itself."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LinkageMemory), duck.opened(memory_mb=100) as connection:
        connection.execute("CREATE TABLE t AS SELECT repeat(md5(i::VARCHAR), 20) AS a FROM range(2000000) r(i)")
    assert not list(tmp_path.rglob("*"))


def test_a_spill_folder_without_encryption_is_refused_and_leftovers_go(tmp_path: Path) -> None:
    """What a killed run left is removed; in clear nothing is ever written."""
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f"ymt-linkage-{int(dead.stdout)}-old"
    left.mkdir()
    (left / "spill.tmp").write_text("王芳")
    mine = tmp_path / f"ymt-linkage-{os.getpid()}-running"
    mine.mkdir()
    try:
        with duck.opened(memory_mb=100, spill=tmp_path) as connection:
            encrypted = connection.execute("SELECT current_setting('temp_file_encryption')").fetchall()
            assert encrypted == [(True,)]
    except SpillNotEncrypted:
        pass
    assert [each.name for each in tmp_path.iterdir()] == [mine.name]


def test_the_shipped_model_is_one_that_can_be_used() -> None:
    """Its settings are checked when it is read."""
    assert models.default().learnt
