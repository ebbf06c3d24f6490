"""Transactions on the pool: a connection whose server hung up is replaced unseen; a read is one read-only snapshot."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy import func, select, table, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from yimatong.kit.db import Database

_PID = text("SELECT pg_backend_pid()")


async def _pid(db: Database) -> int:
    async with db.transaction() as connection:
        return int((await connection.execute(_PID)).scalar_one())


async def test_a_connection_that_was_ended_while_idle_is_replaced(database: Database, database_url: str) -> None:
    before = await _pid(database)
    assert await _pid(database) == before, "the pool keeps its connection"
    with psycopg.connect(database_url, autocommit=True) as other:
        assert other.execute("SELECT pg_terminate_backend(%s)", [before]).fetchone() == (True,)
    await asyncio.sleep(0.2)
    assert await _pid(database) != before


async def test_a_read_is_one_snapshot_that_cannot_write_and_leaves_no_trace(database: Database) -> None:
    async with database.read() as connection:
        shown = await connection.execute(
            text("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        )
        assert tuple(shown.one()) == ("repeatable read", "on")
    with pytest.raises(DBAPIError, match="read-only"):
        async with database.read() as connection:
            await connection.execute(text("CREATE TABLE kit_never (x int)"))
    async with database.transaction() as connection:
        shown = await connection.execute(
            text("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        )
        assert tuple(shown.one()) == ("read committed", "off")


async def test_a_text_and_an_expression_share_one_transaction(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE kit_short (a int PRIMARY KEY, b jsonb)"))

    async def fails() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO kit_short (a) VALUES (:a)"), {"a": 1})
            assert await connection.scalar(select(func.count()).select_from(table("kit_short"))) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM kit_short"))).scalar_one() == 0
        made = text("INSERT INTO kit_short VALUES (:a, cast(:b AS jsonb)) RETURNING a, b, '100%' AS c")
        row = (await connection.execute(made, {"a": 2, "b": '{"x": 1}'})).one()
        assert (row.a, row.b, row.c) == (2, {"x": 1}, "100%")
        assert (await connection.execute(text("UPDATE kit_short SET a = 3"))).rowcount == 1
        assert (await connection.execute(text("DELETE FROM kit_short WHERE a = 9 RETURNING a"))).first() is None
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT a FROM kit_short"))).scalars().all() == [3]


async def test_errors_of_a_text_and_of_the_commit_are_those_that_everybody_catches(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE kit_late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        await connection.execute(text("INSERT INTO kit_late VALUES (1)"))
    with pytest.raises(IntegrityError):
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO kit_late VALUES (1)"))
    with pytest.raises(DBAPIError, match="division by zero"):
        async with database.transaction() as connection:
            await connection.execute(text("SELECT 1 / :x"), {"x": 0})
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM kit_late"))).scalar_one() == 1


async def test_whoever_finds_no_connection_waits_for_one_and_a_cancelled_one_is_not_used_again(
    database_url: str,
) -> None:
    small = Database(database_url, size=1)
    try:
        before = await _pid(small)

        async def sleep() -> None:
            async with small.transaction() as connection:
                await connection.execute(text("SELECT pg_sleep(30)"))

        asleep = asyncio.create_task(sleep())
        await asyncio.sleep(0.2)
        next_one = asyncio.create_task(_pid(small))
        await asyncio.sleep(0.2)
        assert not next_one.done()
        asleep.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asleep
        assert await asyncio.wait_for(next_one, 20) != before
    finally:
        await small.close()
