"""Every SELECT of orders, with its scope."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, func, or_, select, tuple_

from yimatong.access.caller import Scope
from yimatong.kit import cursors
from yimatong.kit.db import Connection
from yimatong.payments import history
from yimatong.payments.history import within
from yimatong.payments.models import order
from yimatong.payments.numbers import require_order_no
from yimatong.payments.orders.schemas import Item, OrderPage, OrderView
from yimatong.payments.refunds import queries as refunds


async def find(connection: Connection, order_no: str, *, scope: Scope) -> OrderView:
    """Return an order with its refunds.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    row = await row_of(connection, order_no, scope=scope)
    return view(row, refunds=await refunds.of_order(connection, order_no, scope=scope))


async def row_of(connection: Connection, order_no: str, *, scope: Scope) -> Row[Any]:
    """Return an order's row, unlocked; errors as ``find``."""
    return await history.order_row(connection, require_order_no(order_no), scope=scope)


async def rows_of(connection: Connection, numbers: Collection[str]) -> dict[str, Row[Any]]:
    """Return the rows of orders by number, whosever they are, unlocked; an unknown one is left out."""
    found = await connection.execute(select(order).where(order.c.order_no.in_(numbers)))
    return {row.order_no: row for row in found}


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders are looked for, besides the scope; empty: all. ``number`` is the order's or the source's.

    Placed in ``start <= created_at < end``, where these are given.
    """

    institution_id: str = ""
    number: str = ""
    channel: str = ""
    start: datetime | None = None
    end: datetime | None = None


_ALL: Final = Sought()


async def page(
    connection: Connection,
    *,
    scope: Scope,
    limit: int,
    cursor: str = "",
    source_id: str = "",
    state: str = "",
    sought: Sought = _ALL,
) -> OrderPage:
    """Return one page of orders, newest first, without their refunds.

    Raises:
        InvalidInput: not a cursor of ours.
    """
    query = select(order).where(within(scope)).order_by(order.c.created_at.desc(), order.c.order_no.desc())
    if source_id:
        query = query.where(order.c.source_id == source_id)
    if state:
        query = query.where(order.c.state == state)
    query = query.where(*_narrowed(sought))
    if cursor:
        query = query.where(tuple_(order.c.created_at, order.c.order_no) < tuple_(*cursors.read(cursor, texts=1)))
    rows = (await connection.execute(query.limit(limit + 1))).all()
    more = len(rows) > limit
    return OrderPage(
        orders=[view(row) for row in rows[:limit]],
        next=cursors.write(rows[limit - 1].created_at, rows[limit - 1].order_no) if more else "",
    )


def _narrowed(sought: Sought) -> list[ColumnElement[bool]]:
    """Return the conditions of what is looked for."""
    found: list[ColumnElement[bool]] = []
    if sought.institution_id:
        found.append(order.c.institution_id == sought.institution_id)
    if sought.number:
        found.append(or_(order.c.order_no == sought.number, order.c.source_id == sought.number))
    if sought.channel:
        found.append(order.c.paid_channel == sought.channel)
    if sought.start is not None:
        found.append(order.c.created_at >= sought.start)
    if sought.end is not None:
        found.append(order.c.created_at < sought.end)
    return found


class ChannelTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What one channel brought: orders paid, and their fen."""

    channel: str
    orders: int
    paid_fen: int


async def paid_by_channel(
    connection: Connection, *, scope: Scope, start: datetime, end: datetime
) -> Sequence[ChannelTotal]:
    """Count the orders paid in ``start <= paid_at < end`` by channel, with their fen."""
    rows = await connection.execute(
        select(order.c.paid_channel, func.count(), func.sum(order.c.paid_fen))
        .where(within(scope), order.c.paid_at >= start, order.c.paid_at < end)
        .group_by(order.c.paid_channel)
        .order_by(order.c.paid_channel)
    )
    return [ChannelTotal(channel=row[0], orders=int(row[1]), paid_fen=int(row[2])) for row in rows]


async def open_of_source(
    connection: Connection, *, institution_id: str, source_kind: str, source_id: str
) -> str | None:
    """Return the order that holds a source's number (every one but a closed one), or None."""
    found = await connection.execute(
        select(order.c.order_no).where(
            order.c.institution_id == institution_id,
            order.c.source_kind == source_kind,
            order.c.source_id == source_id,
            order.c.state != "closed",
        )
    )
    return found.scalar_one_or_none()


def view(row: Row[Any], *, refunds: list[Any] | None = None) -> OrderView:
    """Return an order's row as callers see it."""
    return OrderView(
        order_no=row.order_no,
        institution_id=row.institution_id,
        source_kind=row.source_kind,
        source_id=row.source_id,
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        amount_fen=row.amount_fen,
        state=row.state,
        paid_fen=row.paid_fen,
        refunded_fen=row.refunded_fen,
        late_fen=row.late_fen,
        channel=row.paid_channel or "",
        channel_trade_no=row.channel_trade_no or "",
        created_at=row.created_at,
        expires_at=row.expires_at,
        paid_at=row.paid_at,
        closed_at=row.closed_at,
        refunds=refunds or [],
    )
