"""On a hundred thousand people no query reads the whole table, whatever the planner believes of arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from yimatong.empi.search.queries import BY_BIRTH, BY_ID, BY_TOKENS, Filters

NOW = datetime(2026, 11, 23, tzinfo=UTC)
COMMON = 7


@pytest.fixture(scope="module")
def hundred_thousand(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Everybody shares one token, one in ten another, and each has tokens of her own."""
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute(
            """
            INSERT INTO empi_person (mpi, sealed, search_tokens, sex, birth_date, region_code, created_at, changed_at)
            SELECT gen_random_uuid(), decode(repeat('00', 200), 'hex'),
                   ARRAY[%s, 100 + i %% 10, 1000000 + i, 2000000 + i / 3]::bigint[], '1',
                   date '1926-01-01' + i %% 36500, '610102', %s, %s
            FROM generate_series(1, 100000) i
            """,
            (COMMON, NOW, NOW),
        )
        db.execute("ANALYZE empi_person")
        yield db


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    yield plan["Node Type"]
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def explained(db: psycopg.Connection[Any], statement: str, values: dict[str, Any], *, by_key: bool = True) -> set[str]:
    with db.transaction():
        if by_key:
            db.execute("SET LOCAL enable_seqscan = off")
        row = db.execute("EXPLAIN (FORMAT JSON) " + statement, values).fetchone()
    assert row is not None
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return set(nodes(found[0]["Plan"]))


NONE = Filters("", None, None, "", cancelled=False)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "rare": (BY_TOKENS, NONE.values(1001) | {"tokens": '{"{1000005}"}'}),
    "common": (BY_TOKENS, NONE.values(1001) | {"tokens": '{"{7}"}'}),
    "common and rare": (BY_TOKENS, NONE.values(1001) | {"tokens": '{"{7,104,1000004}","{7,105}"}'}),
    "narrowed": (
        BY_TOKENS,
        Filters("1", date(1980, 1, 1), date(1980, 1, 31), "6101", cancelled=True).values(1001) | {"tokens": '{"{7}"}'},
    ),
    "born": (BY_BIRTH, NONE.values(1001) | {"first": date(1980, 1, 1), "last": date(1980, 1, 31)}),
    "by id": (BY_ID, {"mpis": [UUID(int=0)]}),
}


@pytest.mark.parametrize("case", CASES)
def test_no_sequential_scan(hundred_thousand: psycopg.Connection[Any], case: str) -> None:
    statement, values = CASES[case]
    assert "Seq Scan" not in explained(hundred_thousand, statement, values)


def test_planted_fault_an_overlap_of_constants_is_found(hundred_thousand: psycopg.Connection[Any]) -> None:
    """``&&`` with a common token as a constant: the planner counts on a quick end and reads the table."""
    found = explained(
        hundred_thousand,
        "SELECT mpi FROM empi_person WHERE search_tokens && '{7}'::bigint[] AND sex = %(sex)s LIMIT 1001",
        {"sex": "1"},
        by_key=False,
    )
    assert "Seq Scan" in found
