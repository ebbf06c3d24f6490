"""The verbs of orders: place one, open its cashier, close it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row
from sqlalchemy.dialects.postgresql import insert

from yimatong.access import sessions
from yimatong.access.caller import Caller, Scope
from yimatong.access.errors import NotPermitted
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_number
from yimatong.payments import asking, history, news
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    ItemsDoNotAddUp,
    OrderExists,
    OrderExpired,
    OrderNotPayable,
    OrderNumbersExhausted,
)
from yimatong.payments.models import order
from yimatong.payments.orders import queries
from yimatong.payments.orders.schemas import (
    EXPIRES_S_DEFAULT,
    CashierLink,
    Item,
    NewOrder,
    OrderStateView,
    PlacedOrder,
)
from yimatong.payments.states import ORDER_PAYABLE, OrderState

LINK_S = 2 * 3600
"""A cashier link outlives a phone call, not the day."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What a payer room wants to be paid. ``source_kind``/``source_id`` is its own reference, opaque here."""

    institution_id: str
    caller_id: str
    source_kind: str
    source_id: str
    description: str
    items: list[Item]
    amount_fen: int
    expires_in_s: int = EXPIRES_S_DEFAULT
    vuid: str | None = None


async def place(connection: Connection, new: NewOrder, *, desk: Desk, caller: Caller, now: datetime) -> PlacedOrder:
    """Place an order for an institution itself.

    Raises:
        ItemsDoNotAddUp, OrderExists, NotPermitted (a caller without an institution).
    """
    if caller.institution_id is None:
        raise NotPermitted(permission="orders:write")
    demand = Demand(
        institution_id=caller.institution_id,
        caller_id=caller.caller_id,
        source_kind=news.DIRECT,
        source_id=new.source_no,
        description=new.description,
        items=new.items,
        amount_fen=new.amount_fen,
        expires_in_s=new.expires_in_s,
        vuid=new.vuid,
    )
    return await create(connection, demand, desk=desk, now=now)


async def create(connection: Connection, demand: Demand, *, desk: Desk, now: datetime) -> PlacedOrder:
    """Create an order in the open transaction of whoever wants the money.

    Raises:
        ItemsDoNotAddUp: the items do not add up to the amount.
        OrderExists: the source has an order that is not closed.
    """
    items_fen = sum(item.amount_fen for item in demand.items)
    if items_fen != demand.amount_fen:
        raise ItemsDoNotAddUp(items_fen=items_fen, amount_fen=demand.amount_fen)
    row = await _insert(connection, demand, now=now)
    await history.tell(
        connection, row.order_no, kind="order", number=row.order_no, new=row.state, cause="created", now=now
    )
    return PlacedOrder(
        order_no=row.order_no,
        state=row.state,
        amount_fen=row.amount_fen,
        expires_at=row.expires_at,
        cashier_url=await _link(connection, row.order_no, desk=desk, now=now),
    )


async def new_cashier_link(
    connection: Connection, order_no: str, *, desk: Desk, scope: Scope, now: datetime
) -> CashierLink:
    """Make another link to the cashier page of an order that can still be paid.

    Raises:
        OrderNotFound, OrderNotPayable, OrderExpired.
    """
    row = await queries.row_of(connection, order_no, scope=scope)
    require_payable(row, now=now)
    return CashierLink(cashier_url=await _link(connection, order_no, desk=desk, now=now))


async def close(desk: Desk, order_no: str, *, scope: Scope, now: datetime) -> OrderStateView:
    """Run the close protocol on one's own order and return where it stands: ``closed``, ``closing`` or ``paid``.

    Raises:
        OrderNotFound, OrderNotClosable.
    """
    async with desk.db.read() as connection:
        await queries.row_of(connection, order_no, scope=scope)
    state = await asking.close_order(desk, order_no, now=now)
    return OrderStateView(order_no=order_no, state=state)


def require_payable(row: Row[Any], *, now: datetime) -> None:
    """Refuse an order that no payment may be started for.

    Raises:
        OrderNotPayable: paid, closing or closed. OrderExpired: its time is over.
    """
    if row.state not in ORDER_PAYABLE:
        raise OrderNotPayable(state=row.state)
    if row.expires_at <= now:
        raise OrderExpired


async def _link(connection: Connection, order_no: str, *, desk: Desk, now: datetime) -> str:
    token = await sessions.make_link(connection, subject=order_no, purpose="cashier", lifetime_s=LINK_S, now=now)
    return desk.cashier_url(token)


async def _insert(connection: Connection, demand: Demand, *, now: datetime) -> Row[Any]:
    """Insert under a fresh number; a random number that is taken (one in 10**6 on a busy day) is drawn again."""
    for _ in range(3):
        made = await connection.execute(
            insert(order)
            .values(
                order_no=new_number("P", f"{business_date(now):%Y%m%d}"),
                institution_id=demand.institution_id,
                caller_id=demand.caller_id,
                source_kind=demand.source_kind,
                source_id=demand.source_id,
                vuid=demand.vuid,
                description=demand.description,
                items=msgspec.to_builtins(demand.items),
                amount_fen=demand.amount_fen,
                state=OrderState.CREATED,
                expires_at=now + timedelta(seconds=demand.expires_in_s),
                created_at=now,
                updated_at=now,
                close_at=now + timedelta(seconds=demand.expires_in_s),
            )
            .on_conflict_do_nothing()
            .returning(order)
        )
        row: Row[Any] | None = made.first()
        if row is not None:
            return row
        taken = await queries.open_of_source(
            connection,
            institution_id=demand.institution_id,
            source_kind=demand.source_kind,
            source_id=demand.source_id,
        )
        if taken is not None:
            raise OrderExists(source_id=demand.source_id, order_no=taken)
    raise OrderNumbersExhausted
