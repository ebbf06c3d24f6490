"""Every SELECT of deliveries, with its scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.kit.models import outbox
from yimatong.payments import news
from yimatong.payments.deliveries.schemas import Deliveries, Delivery, Telling, Waiting
from yimatong.payments.models import delivery
from yimatong.payments.orders import queries as orders

TOPICS: Final = (news.ORDER_PAID, news.ORDER_CLOSED, news.REFUND_SUCCEEDED, news.SERVICE_TOLD)
"""What goes out of the platform about an order; our own rooms' news is no delivery."""
_TRIES_MAX: Final = 500


async def of_order(connection: Connection, order_no: str, *, scope: Scope) -> Deliveries:
    """Return what was told of an order, and every try.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    row = await orders.row_of(connection, order_no, scope=scope)
    tried = await connection.execute(
        select(delivery)
        .where(delivery.c.order_no == row.order_no)
        .order_by(delivery.c.message_id, delivery.c.attempt)
        .limit(_TRIES_MAX)
    )
    tries: dict[int, list[Delivery]] = defaultdict(list)
    for each in tried:
        tries[each.message_id].append(Delivery(**{name: getattr(each, name) for name in Delivery.__struct_fields__}))
    keys = row.order_no, news.service_key(row.order_no)
    kept = await connection.execute(
        select(outbox).where(
            or_(outbox.c.id.in_(list(tries)), and_(outbox.c.ordering_key.in_(keys), outbox.c.state == "pending")),
            outbox.c.topic.in_(TOPICS),
        )
    )
    messages = {each.id: each for each in kept}
    told = []
    for message_id in sorted(messages.keys() | tries.keys()):
        message = messages.get(message_id)
        state = "forgotten" if message is None else message.state
        told.append(
            Telling(
                message_id=message_id,
                event="" if message is None else str(message.payload.get("event", "")),
                topic=tries[message_id][0].topic if message is None else message.topic,
                state=state,
                next_at=message.next_at if message is not None and state == "pending" else None,
                tries=tries.get(message_id, []),
            )
        )
    return Deliveries(order_no=row.order_no, messages=told)


async def parked(
    connection: Connection, *, scope: Scope, institution_id: str = "", after: int = 0, limit: int = 50
) -> Sequence[Waiting]:
    """Return parked messages, the oldest first, from behind ``after`` on; all rooms' for the platform's own people.

    With an institution, only those that tell of it.
    """
    own = scope.institution_id or institution_id
    query = select(outbox).where(outbox.c.state == "parked", outbox.c.id > after)
    if own or not scope.all_rows:
        query = query.where(_fact("institution_id") == own)
    rows = await connection.execute(query.order_by(outbox.c.id).limit(limit))
    return [
        Waiting(
            message_id=row.id,
            topic=row.topic,
            order_no=str(row.payload.get("order_no", "")),
            institution_id=str(row.payload.get("institution_id", "")),
            event=str(row.payload.get("event", "")),
            attempts=row.attempts,
            created_at=row.created_at,
            cause=row.last_error or "",
        )
        for row in rows
    ]


async def parked_number(connection: Connection, *, scope: Scope, institution_id: str = "") -> int:
    """Return how many messages are parked, counted as :func:`parked` lists them."""
    own = scope.institution_id or institution_id
    query = select(func.count()).select_from(outbox).where(outbox.c.state == "parked")
    if own or not scope.all_rows:
        query = query.where(_fact("institution_id") == own)
    return int((await connection.execute(query)).scalar_one())


def _fact(name: str) -> ColumnElement[str]:
    found: ColumnElement[str] = outbox.c.payload[name].astext
    return found
