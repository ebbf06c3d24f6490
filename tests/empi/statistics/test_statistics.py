"""Statistics count right, and what they tell is not about anybody."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import RangeBackwards, StatisticsTooNarrow
from yimatong.empi.statistics import disclosure, service
from yimatong.empi.statistics.disclosure import Key
from yimatong.empi.statistics.schemas import Counted, StatisticsQuery
from yimatong.kit.db import Connection, Database

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
CITIES = ("610102", "610113", "610302", "610402", "999999")


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(SoftDevice.create_demonstration(tmp_path_factory.mktemp("keys") / "k.json", "p"), issuer="610000")


async def add(connection: Connection, number: int, *, seed: int = 1, token: int = 7, **fixed: object) -> None:
    """Insert persons whose clear columns are drawn from a seeded hand, without anything sealed."""
    await connection.execute(
        text(
            """
            INSERT INTO empi_person (mpi, sealed, search_tokens, sex, birth_date, region_code, marital, state,
                                     created_at, changed_at)
            SELECT gen_random_uuid(), ''::bytea, ARRAY[cast(:token AS bigint), 100000 + i % 5000],
                   coalesce(cast(:sex AS text), (1 + hashint4(i * 7 + :seed) & 1)::text),
                   coalesce(cast(:birth_date AS date), date '1926-01-01' + abs(hashint4(i + :seed)) % 36500),
                   coalesce(cast(:region AS text), (cast(:cities AS text[]))[1 + abs(hashint4(i * 3 + :seed)) % 5]),
                   CASE WHEN i % 3 = 0 THEN NULL ELSE '10' END, 'live', cast(:now AS timestamptz),
                   cast(:now AS timestamptz)
            FROM generate_series(1, :number) i
            """
        ),
        {"number": number, "seed": seed, "token": token, "cities": list(CITIES), "now": NOW}
        | {"sex": None, "birth_date": None, "region": None}
        | fixed,
    )


async def ask(connection: Connection, vault: Vault, *, min_cell: int = 10, **wanted: Any) -> Counted:
    return await service.count(connection, vault, StatisticsQuery(**wanted), min_cell=min_cell, now=NOW)


async def test_counts_are_right_up_to_the_rounding(connection: Connection, vault: Vault) -> None:
    await add(connection, 5000)
    for wanted in (
        {"group_by": ("region", "sex"), "region_code": "61"},
        {"group_by": ("age5",)},
        {"group_by": ("age10", "sex"), "region_code": "6101"},
        {"group_by": ("marital",), "sex": "1"},
        {"group_by": ("region",), "region_code": "6101", "born_from": date(1950, 1, 1), "born_to": date(1999, 12, 31)},
    ):
        found = await ask(connection, vault, **wanted)
        shown = [cell for cell in found.cells if cell.count is not None]
        assert shown
        for cell in shown:
            assert abs(cell.count - await truth(connection, cell.keys, found, wanted)) < 10
            assert cell.count % 10 == 0
    whole = await ask(connection, vault)
    assert abs((whole.total or 0) - 5000) < 10


async def truth(connection: Connection, keys: tuple[str, ...], found: Counted, wanted: dict[str, Any]) -> int:
    """Count in Python, row by row: another way than the one tested."""
    rows = await connection.execute(text("SELECT sex, birth_date, region_code, marital FROM empi_person"))
    number = 0
    for sex, born, region, marital in rows:
        age = 2026 - born.year
        values = {
            "sex": sex,
            "age5": "95+" if age >= 95 else f"{age // 5 * 5}-{age // 5 * 5 + 4}",
            "age10": "90+" if age >= 90 else f"{age // 10 * 10}-{age // 10 * 10 + 9}",
            "marital": marital or "other",
            "region": "other" if region == "999999" else region[: len(wanted.get("region_code", "")) + 2],
        }
        fits = region.startswith(wanted.get("region_code", "")) and wanted.get("sex", sex) == sex
        fits = fits and wanted.get("born_from", born) <= born <= wanted.get("born_to", born)
        number += fits and all(values[group] == key for group, key in zip(found.group_by, keys, strict=True))
    return number


async def test_a_small_cell_is_hidden_and_no_total_gives_it_away(connection: Connection, vault: Vault) -> None:
    await add(connection, 300, sex="1", region="610102", birth_date=date(1980, 5, 5))
    await add(connection, 200, sex="2", region="610102", birth_date=date(1980, 5, 5))
    await add(connection, 3, sex="9", region="610102", birth_date=date(1980, 5, 5))
    found = await ask(connection, vault, group_by=("sex",))
    counts = {cell.keys[0]: cell.count for cell in found.cells}
    assert counts["9"] is None
    assert counts["2"] is None  # alone, the hidden ones would be the total less the others
    assert counts["1"] is not None
    assert found.total is not None


async def test_nobody_and_few_look_alike(connection: Connection, vault: Vault) -> None:
    await add(connection, 500, region="610102")
    before = await ask(connection, vault, region_code="61", group_by=("region", "age5"))
    await add(connection, 1, region="610481", birth_date=date(1920, 2, 2))  # a centenarian of a small place
    after = await ask(connection, vault, region_code="61", group_by=("region", "age5"))
    for found in (before, after):
        assert {cell.count for cell in (*found.cells, *found.margins) if cell.keys[0] == "6104"} == {None}


async def test_a_name_stands_beside_one_broad_fact_only(connection: Connection, vault: Vault) -> None:
    blinder = await vault.blinder()
    await add(connection, 400, token=blinder.whole_name_token("张伟"))
    assert abs(((await ask(connection, vault, name=" 张伟 ")).total or 0) - 400) < 10
    assert (await ask(connection, vault, name="上官婉儿")).total is None
    assert (await ask(connection, vault, name="张伟", group_by=("sex",))).total is not None
    narrow: tuple[dict[str, Any], ...] = (
        {"born_from": date(1980, 1, 1), "born_to": date(1984, 12, 31)},
        {"age_from": 40, "age_to": 44},
        {"region_code": "610102"},
        {"region_code": "6101", "group_by": ("region",)},
        {"group_by": ("age5",)},
        {"group_by": ("marital",)},
        {"marital": "10"},
        {"state": "any"},
        {"sex": "1", "region_code": "6101"},
        {"sex": "1", "group_by": ("age10",)},
        {"group_by": ("sex", "age10")},
    )
    for each in narrow:
        with pytest.raises(StatisticsTooNarrow):
            await ask(connection, vault, name="张伟", **each)
    with pytest.raises(StatisticsTooNarrow):
        await ask(connection, vault, name="张*")


@pytest.mark.parametrize(
    "wanted",
    [
        {"born_from": date(1980, 5, 5), "born_to": date(1980, 5, 5)},
        {"born_from": date(1980, 1, 1), "born_to": date(1980, 12, 31)},
        {"born_from": date(1981, 1, 1)},
        {"born_to": date(1990, 12, 31)},
        {"age_from": 41},
        {"age_to": 40},
        {"age_from": 40, "born_from": date(1980, 1, 1)},
        {"group_by": ("sex", "sex")},
        {"group_by": ("age5", "age10")},
    ],
)
async def test_borders_lie_on_a_grid(connection: Connection, vault: Vault, wanted: dict[str, Any]) -> None:
    with pytest.raises(StatisticsTooNarrow):
        await ask(connection, vault, **wanted)


async def test_a_range_backwards_is_refused(connection: Connection, vault: Vault) -> None:
    with pytest.raises(RangeBackwards):
        await ask(connection, vault, born_from=date(1990, 1, 1), born_to=date(1984, 12, 31))


async def test_one_caller_cannot_pin_anybody_by_differences(connection: Connection, vault: Vault) -> None:
    """Ask everything there is about a county with one person in a group, with and without her, and subtract."""
    await add(connection, 700, region="610102")
    target = {"region": "610102", "sex": "9", "birth_date": date(1988, 8, 8)}

    async def everything() -> list[Counted]:
        groups: list[tuple[str, ...]] = [(), ("sex",), ("age5",), ("age10",), ("marital",), ("sex", "age5")]
        filters: list[dict[str, Any]] = [{}, {"sex": "9"}, {"sex": "1"}, {"age_from": 35, "age_to": 39}]
        filters += [{"born_from": date(1985, 1, 1), "born_to": date(1989, 12, 31)}]
        places = ("", "61", "6101", "610102")
        return [
            await ask(connection, vault, region_code=place, group_by=group, **each)
            for place, group, each in product(places, groups, filters)
        ]

    without = await everything()
    await add(connection, 1, **target)
    with_her = await everything()
    changed, seen = 0, 0
    for before, after in zip(without, with_her, strict=True):
        for old, new in zip(_numbers(before), _numbers(after), strict=True):
            assert old is None or old >= 10
            assert new is None or new >= 10
            assert None in {old, new} or ((new or 0) - (old or 0)) % 10 == 0
            changed, seen = changed + (old != new), seen + 1
    # her own cells never appear, and no table moves by anything but a whole step of a large number
    for found in with_her:
        for cell in found.cells:
            if dict(zip(found.group_by, cell.keys, strict=True)).get("sex") == "9":
                assert cell.count is None
    # a number that stands in many tables is rounded alike in all of them, so one step shows in all of them
    assert changed <= seen // 5


def _numbers(found: Counted) -> list[int | None]:
    return [found.total, *(cell.count for cell in (*found.cells, *found.margins))]


tables = st.lists(st.lists(st.integers(0, 60), min_size=2, max_size=4), min_size=2, max_size=4).filter(
    lambda rows: len({len(row) for row in rows}) == 1
)


@given(tables, st.integers(0, 2**32))
def test_the_rest_of_a_line_never_tells_a_hidden_count(rows: list[list[int]], key: int) -> None:
    numbers, lines = table(rows)
    told = disclosure.told(numbers, lines, least=10, draw=Draws(key))
    check_lines(numbers, lines, told)


def table(rows: list[list[int]]) -> tuple[dict[Key, int], list[tuple[list[Key], Key]]]:
    numbers: dict[Key, int] = {(f"r{i}", f"c{j}"): value for i, row in enumerate(rows) for j, value in enumerate(row)}
    lines = service._lines(numbers, [["r"], ["c"]])
    for inside, total in lines:
        numbers[total] = sum(numbers[each] for each in inside)
    return numbers, lines


def check_lines(numbers: Any, lines: Any, told: Any) -> None:
    """Hidden cells of a line whose total is told are two at least, and together enough people."""
    for inside, total in lines:
        hidden = [numbers[each] for each in inside if told[each] is None]
        if told[total] is not None and hidden:
            assert len(hidden) > 1
            assert sum(hidden) >= 10
    for each, value in told.items():
        assert value is None or (value % 10 == 0 and abs(value - numbers[each]) < 10 and numbers[each] >= 10)


def Draws(key: int) -> disclosure.Draw:  # noqa: N802 -- makes a draw
    blinder = Blinder(key.to_bytes(32, "big"))
    return lambda cell, below: blinder.digest("t", repr((cell, below)).encode())[0] % below


def test_planted_fault_only_small_cells_hidden_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, lines = table([[50, 3], [40, 60]])
    monkeypatch.setattr(disclosure, "_hide_more", lambda *_: False)
    with pytest.raises(AssertionError):
        check_lines(numbers, lines, disclosure.told(numbers, lines, least=10, draw=Draws(1)))


async def test_the_same_question_has_the_same_answer_however_it_is_asked(connection: Connection, vault: Vault) -> None:
    await add(connection, 3000, region="610102")
    grouped = await ask(connection, vault, group_by=("sex",))
    for cell in grouped.cells:
        if cell.count is not None:
            assert (await ask(connection, vault, sex=cell.keys[0])).total == cell.count
    by_age = await ask(connection, vault, group_by=("age10",))
    banded = next(cell for cell in by_age.cells if cell.keys == ("40-49",))
    assert (await ask(connection, vault, age_from=40, age_to=49)).total == banded.count


async def test_retired_are_not_counted_and_states_are_told_apart(connection: Connection, vault: Vault) -> None:
    await add(connection, 300)
    some = [row[0] for row in await connection.execute(text("SELECT mpi FROM empi_person LIMIT 120"))]
    survivor: UUID = some[-1]
    await connection.execute(
        text("UPDATE empi_person SET state = 'retired', current_mpi = :s WHERE mpi = ANY(:m)"),
        {"s": survivor, "m": some[:50]},
    )
    await connection.execute(
        text("UPDATE empi_person SET deceased_on = '2020-01-01' WHERE mpi = ANY(:m)"), {"m": some[50:80]}
    )
    assert abs(((await ask(connection, vault, state="any")).total or 0) - 250) < 10
    assert abs(((await ask(connection, vault)).total or 0) - 220) < 10
    assert abs(((await ask(connection, vault, state="deceased")).total or 0) - 30) < 10


async def test_csv_opens_in_a_spreadsheet(connection: Connection, vault: Vault) -> None:
    await add(connection, 500, region="610102")
    found = await ask(connection, vault, region_code="6101", group_by=("region", "sex"))
    written = service.csv(found, "zh")
    assert written.startswith(b"\xef\xbb\xbf")
    lines = written.decode("utf-8-sig").splitlines()
    assert lines[0] == "地区,性别,人数"
    assert any(line.startswith("新城区,男,") for line in lines)
    assert any(line.endswith(",<10") for line in lines)
    assert not any(line.startswith(("=", "+", "-", "@")) for line in lines)
    assert service.csv(found, "en").decode("utf-8-sig").startswith("region,sex,persons")


async def test_a_hundred_thousand_are_counted_quickly(
    database: Database, vault: Vault, run_async: Callable[..., object]
) -> None:
    async with database.transaction() as connection:
        await add(connection, 100_000, seed=random.Random(5).randrange(1000))
        await connection.execute(text("ANALYZE empi_person"))
        took = []
        for _ in range(3):
            began = time.perf_counter()
            await ask(connection, vault, region_code="61", group_by=("region", "age5"))
            took.append(time.perf_counter() - began)
        await connection.execute(text("TRUNCATE empi_person"))
    assert min(took) < 2.0
