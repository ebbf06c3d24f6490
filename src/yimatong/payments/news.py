"""What the rest of the world is told of an order: outbox messages, written in the transaction that makes them true.

``payments.order_paid``, ``payments.order_closed`` and ``payments.refund_succeeded`` go to the institution's own system
(``webhooks``), in order per order. The same facts go to the service channel that the payment started from as
``payments.service_told``, in an order of its own: an app that is down never holds up the hospital. The payer room that
owns the order's source gets ``payments.source_changed``, in an order of its own too, so that a hospital's system that
is down never holds up our own books. What needs an electronic receipt is told as ``payments.receipt_due``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text

from yimatong.kit import outbox
from yimatong.kit.clock import rfc3339
from yimatong.kit.db import Connection
from yimatong.kit.together import Piece, together
from yimatong.payments.sources import DIRECT, SEVERAL

ORDER_PAID: Final = "payments.order_paid"
ORDER_CLOSED: Final = "payments.order_closed"
REFUND_SUCCEEDED: Final = "payments.refund_succeeded"
SOURCE_CHANGED: Final = "payments.source_changed"
SERVICE_TOLD: Final = "payments.service_told"
RECEIPT_DUE: Final = "payments.receipt_due"

_NEED_RECEIPT: Final = frozenset({ORDER_PAID, REFUND_SUCCEEDED})


def service_key(order_no: str) -> str:
    """Return the ordering key of what an order's service channel is told."""
    return f"service:{order_no}"


async def tell(
    connection: Connection, topic: str, row: Any, *, now: datetime, more: Mapping[str, object] | None = None
) -> None:
    """Write what happened to an order; ``row`` is the order after it."""
    await together(connection, await telling(connection, topic, row, now=now, more=more))


async def telling(
    connection: Connection, topic: str, row: Any, *, now: datetime, more: Mapping[str, object] | None = None
) -> Piece:
    """Return the piece of :func:`tell`, for a statement that writes more; ``row`` is the order after it."""
    found = await sources(connection, row) if row.source_kind == SEVERAL else {}
    return outbox.writing(messages(topic, row, sources=found, now=now, more=more), now=now)


def messages(
    topic: str,
    row: Any,
    *,
    sources: Mapping[str, Mapping[str, int]],
    now: datetime,
    more: Mapping[str, object] | None = None,
) -> list[tuple[str, str, dict[str, object]]]:
    """Return the messages (topic, ordering key, payload) that tell what happened to an order. Pure.

    ``sources``: how each bill of an order of several bills stands (``sources_of``).
    """
    facts = _facts(row)
    if row.source_kind == SEVERAL:
        facts["sources"] = sources
    payload = facts | {"event": topic.removeprefix("payments."), "at": rfc3339(now)} | dict(more or {})
    told: list[tuple[str, str, dict[str, object]]] = [(topic, row.order_no, payload)]
    if row.service_channel_id is not None:
        at = {"service_channel_id": row.service_channel_id, "terminal_no": row.terminal_no}
        told.append((SERVICE_TOLD, service_key(row.order_no), payload | at))
    if topic in _NEED_RECEIPT:
        receipt: dict[str, object] = {}
        receipt |= {name: payload[name] for name in ("order_no", "refund_no", "event") if name in payload}
        told.append((RECEIPT_DUE, f"receipt:{row.order_no}", receipt))
    if row.source_kind != DIRECT:
        told.append((SOURCE_CHANGED, f"source:{row.order_no}", facts | {"at": rfc3339(now)}))
    return told


async def sources(connection: Connection, row: Any) -> dict[str, dict[str, int]]:
    """Return how the bills of an order stand, by number: what was paid of each, and what came back."""
    back = await connection.execute(_BACK, {"order_no": row.order_no}) if row.refunded_fen else ()
    return sources_of(row, {int(each[0]): int(each[1]) for each in back})


def sources_of(row: Any, gone: Mapping[int, int]) -> dict[str, dict[str, int]]:
    """Return the same from what came back of each line (fen, lines counted from 1). Pure."""
    found: dict[str, dict[str, int]] = {}
    for line, item in enumerate(row.items, start=1):
        bill = found.setdefault(str(item.get("source_no", "")), {"paid_fen": 0, "refunded_fen": 0})
        bill["paid_fen"] += int(item["amount_fen"]) if row.paid_fen else 0
        bill["refunded_fen"] += gone.get(line, 0)
    return found


_BACK: Final = text(
    """
    SELECT i.line, sum(i.amount_fen) FROM payments_refund_item i
    JOIN payments_refund r ON r.order_no = i.order_no AND r.refund_no = i.refund_no
    WHERE i.order_no = :order_no AND r.state = 'succeeded' GROUP BY i.line
    """
)


def _facts(row: Any) -> dict[str, object]:
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
