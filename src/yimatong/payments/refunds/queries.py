"""Every SELECT of refunds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, func, select

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.payments.errors import OrderNotFound, RefundNotFound
from yimatong.payments.history import within
from yimatong.payments.models import attempt, order, refund
from yimatong.payments.numbers import order_of
from yimatong.payments.refunds.schemas import RefundView


def view(row: Row[Any]) -> RefundView:
    """Return a refund's row as callers see it."""
    return RefundView(
        refund_no=row.refund_no,
        order_no=row.order_no,
        request_no=row.request_no,
        kind=row.kind,
        amount_fen=row.amount_fen,
        reason=row.reason,
        state=row.state,
        channel_refund_no=row.channel_refund_no or "",
        requested_at=row.created_at,
        succeeded_at=row.succeeded_at,
    )


async def find(connection: Connection, refund_no: str, *, scope: Scope) -> RefundView:
    """Return a refund.

    Raises:
        RefundNotFound: no such refund in ``scope``.
    """
    try:
        order_no = order_of(refund_no)
    except OrderNotFound as error:
        raise RefundNotFound from error
    found = await connection.execute(
        select(refund)
        .join(order, order.c.order_no == refund.c.order_no)
        .where(refund.c.order_no == order_no, refund.c.refund_no == refund_no, within(scope))
    )
    row = found.first()
    if row is None:
        raise RefundNotFound
    return view(row)


async def of_order(connection: Connection, order_no: str, *, scope: Scope) -> list[RefundView]:
    """Return an order's refunds, oldest first; none when the order lies outside ``scope``."""
    rows = await connection.execute(
        select(refund)
        .join(order, order.c.order_no == refund.c.order_no)
        .where(refund.c.order_no == order_no, within(scope))
        .order_by(refund.c.refund_no)
    )
    return [view(row) for row in rows]


async def by_request(connection: Connection, order_no: str, request_no: str) -> Row[Any] | None:
    """Return the refund of a locked order that an institution's own number stands for."""
    found = await connection.execute(
        select(refund).where(refund.c.order_no == order_no, refund.c.request_no == request_no)
    )
    return found.first()


async def of_locked_order(connection: Connection, order_no: str, refund_no: str) -> Row[Any] | None:
    """Return one refund of an order that the caller has locked."""
    found = await connection.execute(
        select(refund).where(refund.c.order_no == order_no, refund.c.refund_no == refund_no)
    )
    return found.first()


async def next_sequence(connection: Connection, order_no: str) -> int:
    """Return the sequence of a locked order's next refund."""
    number = await connection.execute(select(func.count()).select_from(refund).where(refund.c.order_no == order_no))
    return int(number.scalar_one()) + 1


async def paid_account(connection: Connection, order_no: str, attempt_no: str) -> str:
    """Return the merchant account that an order's money went to."""
    found = await connection.execute(
        select(attempt.c.account_id).where(attempt.c.order_no == order_no, attempt.c.attempt_no == attempt_no)
    )
    return str(found.scalar_one())
