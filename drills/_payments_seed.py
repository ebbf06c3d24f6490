"""Running one seed: plays until there were enough, then calm, then quiet, then the questions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import _payments_bills as bills
import _payments_invariants as invariants
from _payments_books import read
from _payments_cast import Cast
from _payments_chance import drawn_from
from _payments_database import Server
from _payments_plays import Plays
from _payments_world import UNANSWERED, World
from sqlalchemy import Connection, text

OPS: Final = 210
_QUIET_TURNS: Final = 600
_NEXT: Final = text(
    """
    SELECT min(at) FROM (
        SELECT min(next_ask_at) AS at FROM payments_attempt WHERE state IN ('started', 'unknown')
        UNION ALL SELECT min(next_ask_at) FROM payments_refund WHERE state IN ('requested', 'processing', 'unknown')
        UNION ALL SELECT min(close_at) FROM payments_order WHERE state IN ('created', 'paying', 'closing')
        UNION ALL SELECT min(next_at) FROM kit_outbox WHERE state = 'pending') AS due
    """
)
_STUCK: Final = text(
    """
    SELECT order_no FROM payments_order o WHERE state = 'closing' AND NOT EXISTS (
        SELECT 1 FROM payments_attempt a WHERE a.order_no = o.order_no AND a.state IN ('started', 'unknown'))
    AND EXISTS (SELECT 1 FROM payments_refund r WHERE r.order_no = o.order_no AND r.kind = 'reversal'
                AND r.state IN ('abnormal', 'closed'))
    """
)


@dataclass
class Result:
    """What came of a seed."""

    seed: int
    ops: int
    faults: Counter[int]
    breaks: list[tuple[int, str]]
    digest: str
    statements: int
    calls: int
    lines: list[str] = field(default_factory=list)


Prepare = Callable[[Connection], list[str]]
"""Changes the schema, and returns the statements that restore it."""


def run_seed(
    server: Server, cast: Cast, seed: int, *, deep: bool = False, prepare: Prepare | None = None, ops: int = OPS
) -> Result:
    """Run one seed on empty tables and empty them again; ``prepare`` changes the schema for it (plants do)."""
    connection = server.connect()
    again: list[str] = []
    try:
        if prepare is not None:
            again = prepare(connection)
            connection.commit()
        world = World(seed, cast, connection)
        with drawn_from(world.chance.random), world.time():
            world.loop.run(_story(world, connection, ops=ops, deep=deep))
        return Result(
            seed=seed,
            ops=world.ops,
            faults=world.chance.struck,
            breaks=world.breaks,
            digest=world.chance.digest,
            statements=world.db.statements.count,
            calls=world.network.calls,
            lines=world.chance.lines,
        )
    finally:
        connection.connection.rollback()
        connection.close()
        server.clean(again)


async def _story(world: World, connection: Connection, *, ops: int, deep: bool) -> None:
    plays = Plays(world)
    while world.ops < ops:
        plays.begin()
        await asyncio.sleep(world.chance.random.expovariate(1 / 4.0))
    world.chance.calm = True
    world.note("calm")
    if not await _quiet(world, plays, connection):
        return
    found = read(connection, world)
    world.chance.struck[24] += len({row.order_no for row in found.rows["refunds"] if row.kind == "reversal"})
    world.breaks += invariants.find(found)
    world.breaks += await bills.find(world, found, deep=deep)
    world.breaks += await _again(world, connection, found.digest())


async def _quiet(world: World, plays: Plays, connection: Connection) -> bool:
    """Let workers go on until nothing is due, nothing is under way and nobody waits."""
    for turn in range(_QUIET_TURNS):
        try:
            await plays.one_tick()
        except UNANSWERED:
            await asyncio.sleep(30)
            continue
        due: datetime | None = connection.execute(_NEXT).scalar_one()
        waiting = world.around.waiting
        busy = plays.running or world.courier.under_way or waiting
        stuck = connection.execute(_STUCK).all()
        if due is None and not busy:
            return True
        if stuck and not busy and _only_stuck(connection, stuck):
            return True
        soon = [(due - world.loop.moment()).total_seconds()] if due is not None else []
        soon += [min(waiting) - world.loop.time()] if waiting else []
        soon += [60.0] if plays.running or world.courier.under_way > len(waiting) else []
        await asyncio.sleep(max(min(soon, default=60.0) + 1, min(10.0 * turn, 900.0)))
    world.broken(11, "it never became quiet")
    return False


def _only_stuck(connection: Connection, stuck: Any) -> bool:
    """Say whether all that waits are orders whose insurance part cannot go back, which a person sees to."""
    waiting = connection.execute(
        text("SELECT order_no FROM payments_order WHERE state IN ('created', 'paying', 'closing')")
    )
    others = connection.execute(
        text(
            """
            SELECT (SELECT count(*) FROM payments_attempt WHERE state IN ('started', 'unknown'))
                 + (SELECT count(*) FROM payments_refund WHERE state IN ('requested', 'processing', 'unknown'))
                 + (SELECT count(*) FROM kit_outbox WHERE state = 'pending')
            """
        )
    ).scalar_one()
    return not others and {row[0] for row in waiting} <= {row[0] for row in stuck}


async def _again(world: World, connection: Connection, before: str) -> list[tuple[int, str]]:
    """Deliver some of the notices again, at once and out of order: nothing may change any more."""
    told = world.courier.all
    for channel, notice in world.chance.random.sample(told, min(4, len(told))):
        sent = world.courier.sealed(channel, notice)
        await asyncio.gather(world.courier.take(sent), world.courier.take(sent))
    after = read(connection, world).digest()
    return [] if after == before else [(8, "notices that were delivered again changed the books")]
