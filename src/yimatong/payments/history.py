"""The one way in which orders, attempts and refunds move: lock, conditional update, one row of history.

Whoever changes anything of an order locks the order's row first, so everything about one order happens one after the
other. The update is conditional all the same: state and version must be what was read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, true, update

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.payments.errors import OrderNotFound, StateEdgeRefused
from yimatong.payments.models import attempt, history, order, refund
from yimatong.payments.states import (
    AttemptState,
    OrderState,
    RefundState,
    step_attempt,
    step_order,
    step_refund,
)


def within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that an order's row lies in ``scope``."""
    if scope.all_rows:
        return true()
    if scope.institution_id is not None:
        return order.c.institution_id == scope.institution_id
    return order.c.caller_id == scope.caller_id


async def lock_order(connection: Connection, order_no: str, *, scope: Scope) -> Row[Any]:
    """Return an order's row, locked until the transaction ends.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    found = await connection.execute(select(order).where(order.c.order_no == order_no, within(scope)).with_for_update())
    row = found.first()
    if row is None:
        raise OrderNotFound
    return row


async def move_order(
    connection: Connection, row: Row[Any], new: OrderState, *, cause: str, now: datetime, **values: object
) -> Row[Any]:
    """Move an order along an edge, with other columns of it, and return the new row.

    Raises:
        StateEdgeRefused: no such edge, or the row is no longer what was read.
    """
    step_order(row.state, new)
    moved = await connection.execute(
        update(order)
        .where(order.c.order_no == row.order_no, order.c.state == row.state, order.c.version == row.version)
        .values(state=new, version=row.version + 1, updated_at=now, **values)
        .returning(order)
    )
    after: Row[Any] | None = moved.first()
    if after is None:
        raise StateEdgeRefused(kind="order", old=row.state, new=new)
    await tell(
        connection, row.order_no, kind="order", number=row.order_no, old=row.state, new=new, cause=cause, now=now
    )
    return after


async def move_attempt(
    connection: Connection, row: Row[Any], new: AttemptState, *, cause: str, now: datetime, **values: object
) -> None:
    """Move an attempt along an edge; the order is locked by the caller. Errors as :func:`move_order`."""
    step_attempt(row.state, new)
    moved = await connection.execute(
        update(attempt)
        .where(attempt.c.order_no == row.order_no, attempt.c.attempt_no == row.attempt_no, attempt.c.state == row.state)
        .values(state=new, cause=cause, updated_at=now, **values)
    )
    if moved.rowcount != 1:
        raise StateEdgeRefused(kind="attempt", old=row.state, new=new)
    await tell(
        connection, row.order_no, kind="attempt", number=row.attempt_no, old=row.state, new=new, cause=cause, now=now
    )


async def move_refund(
    connection: Connection, row: Row[Any], new: RefundState, *, cause: str, now: datetime, **values: object
) -> None:
    """Move a refund along an edge; the order is locked by the caller. Errors as :func:`move_order`."""
    step_refund(row.state, new)
    moved = await connection.execute(
        update(refund)
        .where(refund.c.order_no == row.order_no, refund.c.refund_no == row.refund_no, refund.c.state == row.state)
        .values(state=new, cause=cause, updated_at=now, **values)
    )
    if moved.rowcount != 1:
        raise StateEdgeRefused(kind="refund", old=row.state, new=new)
    await tell(
        connection, row.order_no, kind="refund", number=row.refund_no, old=row.state, new=new, cause=cause, now=now
    )


async def tell(
    connection: Connection,
    order_no: str,
    *,
    kind: str,
    number: str,
    new: str,
    cause: str,
    now: datetime,
    old: str | None = None,
) -> None:
    """Write one line of history; ``old`` is None for the first line of an order, an attempt or a refund."""
    await connection.execute(
        insert(history).values(
            order_no=order_no, kind=kind, number=number, from_state=old, to_state=new, cause=cause, at=now
        )
    )
