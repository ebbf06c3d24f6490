"""News that goes up or out: written in the transaction that makes it true, delivered after it.

Delivery is at least once, in order per ``ordering_key``; the receiver recognises a repeat by the message id. A message
that fails is tried again on ``SCHEDULE_S`` and then parked in sight; nothing is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select, text, update

from yimatong.kit import clock
from yimatong.kit.arrays import plain, texts
from yimatong.kit.db import Connection, Database, RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.kit.log import KitLog
from yimatong.kit.models import outbox
from yimatong.kit.together import Piece

SCHEDULE_S = (1, 2, 5, 15, 30, 60, 300, 300, 600, 600, 1800, 1800, 3600, 3600, 7200, 14400, 21600, 32400)
"""Pauses between tries, in seconds: 18 pauses over a little more than 24 hours."""

FORGET_ROWS = 5000
"""How many delivered messages one transaction forgets at most."""

_LEASE_S = 60


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way: ``id`` is stable over repeats."""

    id: int
    topic: str
    ordering_key: str
    payload: dict[str, Any]
    attempts: int
    created_at: datetime


Handler = Callable[[Message], Awaitable[None]]
"""Delivers one message or raises. Runs outside any transaction."""


async def write(
    connection: Connection, *, topic: str, ordering_key: str, payload: Mapping[str, object], now: datetime
) -> int:
    """Put a message into the outbox of the open transaction and return its id."""
    body = msgspec.json.encode(dict(payload)).decode()
    row = await connection.execute(_WRITE, {"topic": topic, "key": ordering_key, "payload": body, "now": now})
    return int(row.scalar_one())


_WRITE = text(
    """
    INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at)
    VALUES (:topic, :key, cast(:payload AS jsonb), :now, :now) RETURNING id
    """
)


def writing(messages: Sequence[tuple[str, str, Mapping[str, object]]], *, now: datetime) -> Piece:
    """Return what puts messages, given as (topic, ordering key, payload), into the outbox, in a statement with more."""
    topics, keys, payloads = zip(*messages, strict=True)
    bodies = [msgspec.json.encode(payload).decode() for payload in payloads]
    return Piece(_WRITING, {"topics": list(topics), "keys": list(keys), "bodies": bodies, "now": now})


_WRITING = """
    @written AS (
        INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at)
        SELECT i.topic, i.key, cast(i.body AS jsonb), cast(:now AS timestamptz), cast(:now AS timestamptz)
        FROM unnest(cast(:topics AS text[]), cast(:keys AS text[]), cast(:bodies AS text[])) WITH ORDINALITY
             AS i (topic, key, body, line) ORDER BY i.line)
    """


_WRITE_MANY = """
    INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at)
    SELECT t, k, p::jsonb, %s::timestamptz, %s::timestamptz
    FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS i (ord, t, k, p) ORDER BY ord
"""


async def write_many(
    connection: RawConnection, messages: Sequence[tuple[str, str, Mapping[str, object]]], *, now: datetime
) -> None:
    """Put messages, given as (topic, ordering key, payload), into the outbox of the open transaction, in order."""
    if not messages:
        return
    topics, keys, payloads = zip(*messages, strict=True)
    bodies = texts(msgspec.json.encode(payload).decode() for payload in payloads)
    columns = (plain(range(len(messages))), texts(topics), texts(keys), bodies)
    await connection.execute(_WRITE_MANY, (now, now, *columns))


_CLAIM = text(
    """
    UPDATE kit_outbox SET attempts = attempts + 1, next_at = :lease
    WHERE id IN (
        SELECT o.id FROM kit_outbox o
        WHERE o.state = 'pending' AND o.next_at <= :now AND o.topic = ANY(:topics)
          AND NOT EXISTS (
              SELECT 1 FROM kit_outbox e
              WHERE e.ordering_key = o.ordering_key AND e.state = 'pending' AND e.id < o.id)
        ORDER BY o.id LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id, topic, ordering_key, payload, attempts, created_at
    """
)


_DELIVERED = text(
    "UPDATE kit_outbox SET state = 'delivered', delivered_at = :at, last_error = NULL WHERE id = ANY(:ids)"
)


class Relay:
    """Delivers what is due, with one handler a topic. Several relays may run at once."""

    def __init__(self, db: Database, handlers: Mapping[str, Handler]) -> None:
        """Keep the handlers by topic; a topic without one stays pending in sight."""
        self._db = db
        self._handlers = dict(handlers)

    async def deliver_due(self, *, now: datetime, most: int = 48) -> int:
        """Deliver up to ``most`` messages that are due at ``now``; return how many were tried.

        A message is claimed for a minute and committed before its handler runs, so no transaction is open while an
        outside party is called, and a crash gives the message back when the minute is over.
        """
        async with self._db.single() as connection:
            rows = await connection.execute(
                _CLAIM,
                {"now": now, "lease": now + timedelta(seconds=_LEASE_S), "topics": list(self._handlers), "most": most},
            )
            messages = [Message(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's documented accessor
        under_way = {asyncio.ensure_future(self._deliver(message)) for message in messages}
        try:
            while under_way:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                await self._delivered([each.result() for each in done])
        finally:
            for each in under_way:
                each.cancel()
        return len(messages)

    async def _deliver(self, message: Message) -> int | None:
        """Run the handler; return the id of what it took, None of what is tried again."""
        try:
            await self._handlers[message.topic](message)
        except Exception as error:  # noqa: BLE001 -- whatever a handler raises, the message is kept and tried again
            await self._failed(message, error)
            return None
        return message.id

    async def _delivered(self, results: Sequence[int | None]) -> None:
        """Mark what was taken, with one commit for everything that ended meanwhile; a slow receiver holds up none."""
        ids = sorted(each for each in results if each is not None)
        if ids:
            async with self._db.single() as connection:
                await connection.execute(_DELIVERED, {"ids": ids, "at": clock.now()})

    async def _failed(self, message: Message, error: Exception) -> None:
        cause = error.code if isinstance(error, PlatformError) else type(error).__name__
        parked = message.attempts > len(SCHEDULE_S)
        pause_s = 0 if parked else SCHEDULE_S[message.attempts - 1]
        log = KitLog.DELIVERY_PARKED if parked else KitLog.DELIVERY_FAILED
        log.emit(message_id=message.id, topic=message.topic, attempts=message.attempts, cause=cause)
        async with self._db.transaction() as connection:
            await connection.execute(
                update(outbox)
                .where(outbox.c.id == message.id)
                .values(
                    state="parked" if parked else "pending",
                    next_at=clock.now() + timedelta(seconds=pause_s),
                    last_error=cause,
                )
            )


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was tried for the last time; ``last_error`` is why, by code or by name."""

    id: int
    topic: str
    ordering_key: str
    attempts: int
    created_at: datetime
    last_error: str | None


async def parked(connection: Connection, *, limit: int = 100, after: int = 0) -> list[Parked]:
    """Return parked messages, the oldest first, from behind the id ``after`` on."""
    rows = await connection.execute(
        select(*(outbox.c[name] for name in Parked.__struct_fields__))
        .where(outbox.c.state == "parked", outbox.c.id > after)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return [Parked(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's documented accessor


async def replay(connection: Connection, message_id: int, *, now: datetime) -> bool:
    """Give a parked message another round of tries; return False when it is not parked."""
    done = await connection.execute(
        update(outbox)
        .where(outbox.c.id == message_id, outbox.c.state == "parked")
        .values(state="pending", attempts=0, next_at=now)
    )
    return done.rowcount == 1


_FORGET = text(
    """
    DELETE FROM kit_outbox WHERE id = ANY(ARRAY(
        SELECT id FROM kit_outbox WHERE state = 'delivered' AND delivered_at < :before
        ORDER BY delivered_at LIMIT :most FOR UPDATE SKIP LOCKED))
    RETURNING id
    """
)


async def forget(connection: Connection, *, before: datetime, most: int = FORGET_ROWS) -> int:
    """Remove up to ``most`` messages that were delivered before a moment, the oldest first; return how many.

    What waits stays, and what was parked stays until somebody replays it.
    """
    rows = await connection.execute(_FORGET, {"before": before, "most": most})
    return len(rows.all())


async def counts(connection: Connection) -> dict[str, int]:
    """Return how many messages are in each state."""
    rows = await connection.execute(select(outbox.c.state, text("count(*)")).group_by(outbox.c.state))
    return {row[0]: int(row[1]) for row in rows}
