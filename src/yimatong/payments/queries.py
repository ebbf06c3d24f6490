"""What reconciliation and the console read of payments beside orders: a day's movements."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import func, literal, null, select, union_all

from yimatong.kit.db import Connection
from yimatong.payments.models import attempt, refund


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of money at a channel as our books have it.

    ``number`` is the attempt or refund number that the channel knows; ``at`` is when the channel says that it was paid,
    for a refund when the channel took it (bills carry that moment, not the arrival). ``landed`` is ``suspense`` for
    late money.
    """

    kind: str
    order_no: str
    number: str
    attempt_no: str
    channel_no: str
    amount_fen: int
    state: str
    landed: str
    at: datetime


async def day_movements(
    connection: Connection, *, channel: str, account_id: str, start: datetime, end: datetime
) -> list[Movement]:
    """Return every payment and refund of one merchant account in ``start <= at < end``, by number."""
    payments = select(
        literal("payment").label("kind"),
        attempt.c.order_no,
        attempt.c.attempt_no.label("number"),
        attempt.c.attempt_no,
        func.coalesce(attempt.c.channel_trade_no, "").label("channel_no"),
        attempt.c.amount_fen,
        attempt.c.state,
        func.coalesce(attempt.c.landed, "").label("landed"),
        attempt.c.paid_at.label("at"),
    ).where(
        attempt.c.channel == channel,
        attempt.c.account_id == account_id,
        attempt.c.paid_at >= start,
        attempt.c.paid_at < end,
    )
    refunds = (
        select(
            literal("refund").label("kind"),
            refund.c.order_no,
            refund.c.refund_no.label("number"),
            refund.c.attempt_no,
            func.coalesce(refund.c.channel_refund_no, "").label("channel_no"),
            refund.c.amount_fen,
            refund.c.state,
            func.coalesce(null(), "").label("landed"),
            refund.c.accepted_at.label("at"),
        )
        .join(attempt, (attempt.c.order_no == refund.c.order_no) & (attempt.c.attempt_no == refund.c.attempt_no))
        .where(
            attempt.c.channel == channel,
            refund.c.account_id == account_id,
            refund.c.accepted_at >= start,
            refund.c.accepted_at < end,
        )
    )
    rows = await connection.execute(union_all(payments, refunds).order_by("number"))
    return [Movement(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's documented accessor
