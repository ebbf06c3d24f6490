"""A batch: one transaction for many callers, each told its own answer after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from yimatong.kit.db import Answers, Database, RawConnection
from yimatong.kit.errors import DatabaseUnavailable, NotFound

INSERT = "INSERT INTO batch_probe (item) VALUES (%s)"


@pytest.fixture(scope="module", autouse=True)
def table(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE batch_probe (item text PRIMARY KEY, txid xid8 DEFAULT pg_current_xact_id())")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    yield made
    await made.close()


def stored(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT item, txid::text FROM batch_probe").fetchall())


async def store(connection: RawConnection, items: Sequence[str]) -> Answers[str]:
    """Insert every item but those called bad, which are refused."""
    for item in items:
        if not item.startswith("bad"):
            await connection.execute(INSERT, (item,))

    async def answers() -> Sequence[str | Exception]:
        return [NotFound() if item.startswith("bad") else item for item in items]

    return answers


async def test_a_bad_item_never_fails_its_neighbours(db: Database, database_url: str) -> None:
    batch = db.batch(store, lanes=1)
    names = ["n-1", "bad-1", "n-2", "bad-2", "n-3"]
    results = await asyncio.gather(*(batch.submit(name) for name in names), return_exceptions=True)
    assert [result if isinstance(result, str) else type(result) for result in results] == [
        *("n-1", NotFound, "n-2", NotFound, "n-3"),
    ]
    assert {"n-1", "n-2", "n-3"} <= stored(database_url).keys()


async def test_a_crowd_shares_transactions_and_keeps_to_the_limit(db: Database, database_url: str) -> None:
    sizes: list[int] = []

    async def counted(connection: RawConnection, items: Sequence[str]) -> Answers[str]:
        sizes.append(len(items))
        return await store(connection, items)

    batch = db.batch(counted, items_max=8, lanes=2)
    names = [f"crowd-{number}" for number in range(40)]
    assert await asyncio.gather(*(batch.submit(name) for name in names)) == names
    assert max(sizes) == 8
    assert len(sizes) < 40
    assert len({txid for item, txid in stored(database_url).items() if item.startswith("crowd")}) == len(sizes)


async def test_the_answer_comes_after_the_commit(db: Database, database_url: str) -> None:
    batch = db.batch(store)
    for number in range(20):
        await batch.submit(f"durable-{number}")
        assert f"durable-{number}" in stored(database_url)


@pytest.mark.parametrize("lanes", [1, 2])
async def test_one_caller_after_another_never_waits_for_a_lane_that_has_ended(db: Database, lanes: int) -> None:
    batch = db.batch(store, lanes=lanes)

    async def caller(name: str) -> None:
        for number in range(15):
            await batch.submit(f"{name}-{lanes}-{number}")

    await asyncio.wait_for(asyncio.gather(caller("one"), caller("two"), caller("three")), timeout=20)


async def test_a_failed_transaction_is_told_to_each_and_stores_nothing(db: Database, database_url: str) -> None:
    async def twice(connection: RawConnection, items: Sequence[str]) -> Answers[str]:
        answers = await store(connection, items)
        await connection.execute("SELECT 1 / 0")
        return answers

    batch = db.batch(twice, lanes=1)
    results = await asyncio.gather(*(batch.submit(f"lost-{number}") for number in range(3)), return_exceptions=True)
    assert all(isinstance(result, psycopg.errors.DivisionByZero) for result in results)
    assert not any(item.startswith("lost") for item in stored(database_url))


async def test_answers_that_do_not_fit_are_a_failure_not_a_silence(db: Database) -> None:
    async def short(connection: RawConnection, items: Sequence[str]) -> Answers[str]:
        async def answers() -> Sequence[str]:
            return items[:-1]

        return answers

    with pytest.raises(RuntimeError, match="0 answers for 1"):
        await asyncio.wait_for(db.batch(short).submit("x"), timeout=5)


async def test_a_lost_database_is_told_to_each_and_the_next_batch_connects_again(
    db: Database, database_url: str
) -> None:
    async def cut(connection: RawConnection, items: Sequence[str]) -> Answers[str]:
        if items[0].startswith("cut"):
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        return await store(connection, items)

    batch = db.batch(cut, lanes=1)
    await batch.submit("before")
    results = await asyncio.gather(*(batch.submit(f"cut-{number}") for number in range(3)), return_exceptions=True)
    assert all(isinstance(result, DatabaseUnavailable) for result in results), results
    assert await batch.submit("after") == "after"
    assert not any(item.startswith("cut") for item in stored(database_url))


async def test_no_database_at_all_is_unavailable() -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/nothing")
    with pytest.raises(DatabaseUnavailable):
        await away.batch(store).submit("x")
    with pytest.raises(DatabaseUnavailable):
        async with away.transaction():
            pass
    await away.close()


async def test_a_caller_who_left_is_not_waited_for(db: Database, database_url: str) -> None:
    opened, gate = asyncio.Event(), asyncio.Event()

    async def slow(connection: RawConnection, items: Sequence[str]) -> Answers[str]:
        opened.set()
        await gate.wait()
        return await store(connection, items)

    batch = db.batch(slow, lanes=1)
    under_way = asyncio.create_task(batch.submit("left-while-under-way"))
    neighbour = asyncio.create_task(batch.submit("neighbour"))
    await opened.wait()
    waiting = asyncio.create_task(batch.submit("left-while-waiting"))
    last = asyncio.create_task(batch.submit("last"))
    await asyncio.sleep(0.05)
    under_way.cancel()
    waiting.cancel()
    gate.set()
    assert await neighbour == "neighbour"
    assert await last == "last"
    kept = stored(database_url).keys()
    assert "left-while-waiting" not in kept
    assert "left-while-under-way" in kept  # its transaction was open: cancelling the caller does not undo it


async def test_closing_finishes_what_was_submitted(database_url: str) -> None:
    db = Database(database_url)
    batch = db.batch(store, lanes=1)
    tasks = [asyncio.create_task(batch.submit(f"closing-{number}")) for number in range(5)]
    await asyncio.sleep(0)
    await db.close()
    assert await asyncio.gather(*tasks) == [f"closing-{number}" for number in range(5)]
