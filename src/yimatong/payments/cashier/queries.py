"""Every SELECT of the cashier."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, func, select

from yimatong.access import callers
from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.payments import accounts
from yimatong.payments.cashier.schemas import CashierView, OpenAttempt
from yimatong.payments.channels.base import CashierAction
from yimatong.payments.models import attempt
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders.schemas import Item, OrderStateView
from yimatong.payments.states import ATTEMPT_OPEN, AttemptState


async def view(connection: Connection, order_no: str, *, scope: Scope) -> CashierView:
    """Return what the cashier page of an order shows.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    row = await orders.row_of(connection, order_no, scope=scope)
    return CashierView(
        order_no=row.order_no,
        institution_name=await callers.institution_name(connection, row.institution_id),
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        amount_fen=row.amount_fen,
        state=row.state,
        expires_at=row.expires_at,
        channels=await accounts.offered(connection, row.institution_id),
        paid_at=row.paid_at,
        refunded_fen=row.refunded_fen,
    )


async def status(connection: Connection, order_no: str, *, scope: Scope) -> OrderStateView:
    """Return where an order stands in our books; errors as ``view``."""
    row = await orders.row_of(connection, order_no, scope=scope)
    return OrderStateView(order_no=row.order_no, state=row.state)


async def open_attempt(connection: Connection, order_no: str, *, scope: Scope) -> OpenAttempt | None:
    """Return the newest attempt of an order whose outcome is open, or None; errors as ``view``."""
    row = await orders.row_of(connection, order_no, scope=scope)
    found = await connection.execute(
        select(attempt)
        .where(attempt.c.order_no == row.order_no, attempt.c.state.in_(ATTEMPT_OPEN))
        .order_by(attempt.c.attempt_no.desc())
        .limit(1)
    )
    newest = found.first()
    if newest is None:
        return None
    action = msgspec.convert(newest.action or {}, CashierAction)
    return OpenAttempt(
        attempt_no=newest.attempt_no,
        channel=newest.channel,
        scene=newest.scene,
        unknown=newest.state == AttemptState.UNKNOWN,
        qr_text=action.qr_text,
        redirect_url=action.redirect_url,
    )


async def reusable(connection: Connection, order_no: str, *, channel: str, scene: str) -> Row[Any] | None:
    """Return the open attempt of a locked order with the same channel and scene, the newest if several."""
    found = await connection.execute(
        select(attempt)
        .where(
            attempt.c.order_no == order_no,
            attempt.c.channel == channel,
            attempt.c.scene == scene,
            attempt.c.state.in_(ATTEMPT_OPEN),
        )
        .order_by(attempt.c.attempt_no.desc())
        .limit(1)
    )
    return found.first()


async def next_sequence(connection: Connection, order_no: str) -> int:
    """Return the sequence of a locked order's next attempt."""
    number = await connection.execute(select(func.count()).select_from(attempt).where(attempt.c.order_no == order_no))
    return int(number.scalar_one()) + 1


async def of_locked_order(connection: Connection, order_no: str, attempt_no: str) -> Row[Any]:
    """Return one attempt of an order that the caller has locked."""
    found = await connection.execute(
        select(attempt).where(attempt.c.order_no == order_no, attempt.c.attempt_no == attempt_no)
    )
    return found.one()


async def worth_asking(connection: Connection, order_no: str) -> list[str]:
    """Return the numbers of an order's open attempts."""
    rows = await connection.execute(
        select(attempt.c.attempt_no).where(attempt.c.order_no == order_no, attempt.c.state.in_(ATTEMPT_OPEN))
    )
    return list(rows.scalars())
