"""Every SELECT of insurance parts."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, select

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.payments.channels.base import Part
from yimatong.payments.legs.schemas import LegView, SharedOrder
from yimatong.payments.models import attempt, leg, refund
from yimatong.payments.orders import queries as orders
from yimatong.payments.states import ATTEMPT_OPEN, RefundState

_COVERED_BY: Final = (Part.WHOLE, Part.INSURANCE, Part.COMMERCIAL)


async def shared(connection: Connection, order_no: str, *, scope: Scope) -> SharedOrder:
    """Return how an order is shared.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    held = await orders.row_of(connection, order_no, scope=scope)
    return await of_order(connection, held)


async def of_order(connection: Connection, held: Row[Any]) -> SharedOrder:
    """Return how the order of a row is shared."""
    rows = await connection.execute(select(leg).where(leg.c.order_no == held.order_no).order_by(leg.c.part.desc()))
    legs = [await _view(connection, row) for row in rows.all()]
    return SharedOrder(order_no=held.order_no, amount_fen=held.amount_fen, cash_fen=held.cash_fen, legs=legs)


async def row_of(connection: Connection, order_no: str, part: str) -> Row[Any] | None:
    """Return the row of one part of a locked order, or None."""
    found = await connection.execute(select(leg).where(leg.c.order_no == order_no, leg.c.part == part))
    return found.first()


async def open_attempt(connection: Connection, order_no: str) -> str | None:
    """Return the number of an attempt of a locked order whose outcome is open, or None."""
    found = await connection.execute(
        select(attempt.c.attempt_no)
        .where(attempt.c.order_no == order_no, attempt.c.state.in_(ATTEMPT_OPEN))
        .order_by(attempt.c.attempt_no.desc())
        .limit(1)
    )
    return found.scalar_one_or_none()


async def _view(connection: Connection, row: Row[Any]) -> LegView:
    return LegView(
        part=row.part,
        channel=row.channel,
        amount_fen=row.amount_fen,
        components=row.components,
        state=await _state(connection, row),
        expires_at=row.expires_at,
    )


async def _state(connection: Connection, row: Row[Any]) -> str:
    tries = (
        await connection.execute(
            select(attempt.c.attempt_no, attempt.c.state, attempt.c.landed).where(
                attempt.c.order_no == row.order_no,
                attempt.c.part.in_([each for each in _COVERED_BY if each in (Part.WHOLE, row.part)]),
            )
        )
    ).all()
    if any(each.state in ATTEMPT_OPEN for each in tries):
        return "settling"
    landed = [each.attempt_no for each in tries if each.landed == "order"]
    if not landed:
        return str(row.state)
    back = await connection.execute(
        select(refund.c.refund_no).where(
            refund.c.order_no == row.order_no,
            refund.c.attempt_no.in_(landed),
            refund.c.kind == "reversal",
            refund.c.state == RefundState.SUCCEEDED,
        )
    )
    return "reversed" if back.first() is not None else "settled"
