"""What the rest of the world is told of an order: outbox messages, written in the transaction that makes them true.

``payments.order_paid``, ``payments.order_closed`` and ``payments.refund_succeeded`` go to the institution's own system
(``webhooks``), in order per order. ``payments.source_changed`` goes to the payer room that owns the order's source, in
an order of its own, so that a hospital's system that is down never holds up our own books.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row

from yimatong.kit import outbox
from yimatong.kit.clock import rfc3339
from yimatong.kit.db import Connection

ORDER_PAID: Final = "payments.order_paid"
ORDER_CLOSED: Final = "payments.order_closed"
REFUND_SUCCEEDED: Final = "payments.refund_succeeded"
SOURCE_CHANGED: Final = "payments.source_changed"

DIRECT: Final = "direct"
"""``source_kind`` of orders that an institution placed itself: no payer room is told."""


async def tell(
    connection: Connection, topic: str, row: Row[Any], *, now: datetime, more: Mapping[str, object] | None = None
) -> None:
    """Write what happened to an order; ``row`` is the order after it."""
    await outbox.write(
        connection,
        topic=topic,
        ordering_key=row.order_no,
        payload=_facts(row) | {"event": topic.removeprefix("payments."), "at": rfc3339(now)} | dict(more or {}),
        now=now,
    )
    if row.source_kind != DIRECT:
        await outbox.write(
            connection,
            topic=SOURCE_CHANGED,
            ordering_key=f"source:{row.order_no}",
            payload=_facts(row) | {"at": rfc3339(now)},
            now=now,
        )


def _facts(row: Row[Any]) -> dict[str, object]:
    return {
        "order_no": row.order_no,
        "institution_id": row.institution_id,
        "source_kind": row.source_kind,
        "source_id": row.source_id,
        "state": row.state,
        "version": row.version,
        "amount_fen": row.amount_fen,
        "paid_fen": row.paid_fen,
        "refunded_fen": row.refunded_fen,
        "channel": row.paid_channel,
        "channel_trade_no": row.channel_trade_no,
        "paid_at": rfc3339(row.paid_at) if row.paid_at else None,
    }
