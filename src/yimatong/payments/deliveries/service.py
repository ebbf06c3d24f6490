"""Writing down every try to tell somebody of an order, and giving a parked message another round."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import select

from yimatong.access.caller import Scope
from yimatong.kit import outbox
from yimatong.kit.arrays import moments, plain, texts
from yimatong.kit.db import Answers, Connection, RawConnection
from yimatong.kit.models import outbox as messages
from yimatong.payments.deliveries.queries import TOPICS
from yimatong.payments.deliveries.schemas import Replayed
from yimatong.payments.errors import DeliveryNotParked
from yimatong.payments.orders import queries as orders


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one try to deliver a message about an order; ``status`` 0: no answer."""

    order_no: str
    message_id: int
    topic: str
    receiver: str
    status: int
    cause: str
    took_ms: int
    at: datetime


async def record(connection: RawConnection, tries: Sequence[Try]) -> Answers[None]:
    """Write tries, as the work of a batch; they count on over replays, so none hides another."""
    columns = (
        texts(each.order_no for each in tries),
        plain(each.message_id for each in tries),
        texts(each.topic for each in tries),
        texts(each.receiver for each in tries),
        plain(each.status for each in tries),
        texts(each.cause for each in tries),
        plain(each.took_ms for each in tries),
        moments(each.at for each in tries),
    )
    await connection.execute(_RECORD, columns)

    async def answers() -> Sequence[None]:
        return [None] * len(tries)

    return answers


_RECORD: Final = """
    INSERT INTO payments_delivery (order_no, message_id, attempt, topic, receiver, status, cause, took_ms, at)
    SELECT i.o, i.m, coalesce(d.last, 0) + row_number() OVER (PARTITION BY i.o, i.m ORDER BY i.line),
           i.t, i.r, i.s, i.c, i.ms, i.at
    FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::int[], %s::text[], %s::int[], %s::timestamptz[])
         WITH ORDINALITY AS i (o, m, t, r, s, c, ms, at, line),
         LATERAL (SELECT max(attempt) AS last FROM payments_delivery WHERE order_no = i.o AND message_id = i.m) AS d
    ON CONFLICT DO NOTHING
"""


async def replay(connection: Connection, order_no: str, message_id: int, *, scope: Scope, now: datetime) -> Replayed:
    """Give a parked message about an order another round of tries.

    Raises:
        OrderNotFound: no such order in ``scope``. DeliveryNotParked: no such message of it, or it is not parked.
    """
    row = await orders.row_of(connection, order_no, scope=scope)
    found = await connection.execute(
        select(messages.c.id).where(
            messages.c.id == message_id,
            messages.c.topic.in_(TOPICS),
            messages.c.payload["order_no"].astext == row.order_no,
        )
    )
    if found.first() is None or not await outbox.replay(connection, message_id, now=now):
        raise DeliveryNotParked
    return Replayed(order_no=row.order_no, message_id=message_id)
