"""Sixteen writers at once on one index: nothing deadlocks, no ring is made, and every promise holds afterwards."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any
from uuid import UUID

from index_world import BLINDER, SEALER, Clock, by, enter, pointers
from sqlalchemy import select, text

from yimatong.empi.cancelling import service as cancelling
from yimatong.empi.cancelling.service import Wanted
from yimatong.empi.errors import MergeConflict, NotCancelled, SamePerson
from yimatong.empi.merges import service as merges
from yimatong.empi.merges import verifying
from yimatong.empi.models import merge
from yimatong.empi.reviews import service as reviews
from yimatong.empi.reviews.service import NewReview
from yimatong.kit.db import Connection, Database, raw

WRITERS = 16
DEEDS = 14
KEYS: dict[str, Any] = {"sealer": SEALER, "blinder": BLINDER}


async def _deed(connection: Connection, chance: random.Random, people: list[UUID], clock: Clock) -> str:
    left, right = chance.sample(people, 2)
    deed = chance.choice(["merge", "merge", "pair", "unmerge", "reject", "ask", "cancel"])
    if deed == "merge":
        await merges.merge(connection, retired=left, survivor=right, decision=by(), now=clock(), **KEYS)
    elif deed == "pair":
        engine = by(method="probability", operator="engine")
        await merges.merge_pair(connection, left=left, right=right, decision=engine, now=clock(), **KEYS)
    elif deed == "unmerge":
        found = await connection.execute(select(merge.c.merge_id).where(merge.c.undone_at.is_(None)).limit(5))
        ids = list(found.scalars())
        if ids:
            await merges.unmerge(
                connection, merge_id=chance.choice(ids), decision=by("unmerge"), now=clock(), apart=False, **KEYS
            )
    elif deed == "reject":
        await merges.reject(connection, left=left, right=right, decision=by("reject"), now=clock(), **KEYS)
    elif deed == "ask":
        await reviews.open_many(await raw(connection), [NewReview(left, right, "probable")], clock())
    else:
        wanted = Wanted(reason="error", died_on=None, operator="his-1")
        await cancelling.cancel(connection, left, wanted, now=clock())
        await cancelling.restore(connection, left, operator="opr_1", reason="wrong", now=clock(), **KEYS)
    return deed


async def _writer(database: Database, seed: int, people: list[UUID], done: Counter[str], clock: Clock) -> None:
    chance = random.Random(seed)
    for _ in range(DEEDS):
        try:
            async with database.transaction() as connection:
                done[await _deed(connection, chance, people, clock)] += 1
        except (MergeConflict, SamePerson, NotCancelled) as refused:
            done[refused.code] += 1


async def test_sixteen_writers_leave_every_promise_kept(database_url: str) -> None:
    database, clock = Database(database_url, size=WRITERS), Clock()
    async with database.transaction() as connection:
        people = [
            await enter(
                connection,
                now=clock(),
                id_number=f"E{number:08d}" if number % 3 == 0 else "",
                id_type="03",
                phone=f"1380013{number:04d}",
                source=("src:h1", f"N{number}"),
            )
            for number in range(12)
        ]
    done: Counter[str] = Counter()
    await asyncio.gather(*(_writer(database, seed, people, done, clock) for seed in range(WRITERS)))

    assert sum(done.values()) == WRITERS * DEEDS, "nothing was lost to a deadlock"
    assert {"merge", "pair", "unmerge", "reject", "ask", "cancel", "EMP-4001"} <= done.keys(), done
    async with database.read() as connection:
        assert await verifying.look(connection) == []
        walk = verifying.look_at_golden(connection, **KEYS)
        assert [found async for _, part in walk for found in part] == []
    await database.close()


async def test_two_merges_in_opposite_directions_end_as_one(database_url: str) -> None:
    database, clock = Database(database_url, size=WRITERS), Clock()
    for _ in range(6):
        async with database.transaction() as connection:
            left, right = await enter(connection, now=clock()), await enter(connection, now=clock())

        async def join(retired: UUID, survivor: UUID) -> bool:
            async with database.transaction() as connection:
                done = await merges.merge(
                    connection, retired=retired, survivor=survivor, decision=by(), now=clock(), **KEYS
                )
            return done.again

        both = [(left, right), (right, left)] * (WRITERS // 2)
        again = await asyncio.gather(*(join(*pair) for pair in both))
        assert again.count(False) == 1
        async with database.read() as connection:
            led = await pointers(connection)
            assert {led[left], led[right]} in ({None, left}, {None, right})
            rows = await connection.execute(
                text("SELECT count(*) FROM empi_merge WHERE retired_mpi = ANY(:m)"), {"m": [left, right]}
            )
            assert rows.scalar_one() == 1
    await database.close()
