"""The verbs of bills: book one with its order, give an expired one a new order, hear from payments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import Caller
from yimatong.care.bills import queries
from yimatong.care.bills.schemas import NewBill, NewBillOrder, PlacedBill
from yimatong.care.errors import BillExists, BillNotPayable
from yimatong.care.models import bill
from yimatong.care.visits import queries as visits
from yimatong.kit.db import Connection
from yimatong.payments.desk import Desk
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import Item, PlacedOrder

SOURCE_KIND: Final = "bill"
_STATES: Final = {
    "paid": "paid",
    "partly_refunded": "partly_refunded",
    "refunded": "refunded",
    "closed": "expired",
}


async def book(connection: Connection, new: NewBill, *, desk: Desk, caller: Caller, now: datetime) -> PlacedBill:
    """Book a bill of a visit and create its order, both or neither.

    Raises:
        VisitNotFound, BillExists, ItemsDoNotAddUp.
    """
    held = await visits.row_of(connection, new.visit_no, scope=caller.scope)
    if await queries.exists(connection, new.bill_no, institution_id=held.institution_id):
        raise BillExists(bill_no=new.bill_no)
    placed = await _order(
        connection,
        desk,
        caller,
        institution_id=held.institution_id,
        vuid=held.vuid,
        bill_no=new.bill_no,
        description=new.description,
        items=new.items,
        total_fen=new.total_fen,
        expires_in_s=new.expires_in_s,
        now=now,
    )
    made = await connection.execute(
        insert(bill)
        .values(
            institution_id=held.institution_id,
            bill_no=new.bill_no,
            visit_no=new.visit_no,
            order_no=placed.order_no,
            description=new.description,
            items=msgspec.to_builtins(new.items),
            total_fen=new.total_fen,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(bill.c.bill_no)
    )
    if made.first() is None:
        raise BillExists(bill_no=new.bill_no)
    return _placed(placed, bill_no=new.bill_no, visit_no=new.visit_no)


async def order_again(
    connection: Connection, bill_no: str, new: NewBillOrder, *, desk: Desk, caller: Caller, now: datetime
) -> PlacedBill:
    """Give a bill whose order expired unpaid a new one.

    Raises:
        BillNotFound, BillNotPayable.
    """
    row = await queries.lock(connection, bill_no, scope=caller.scope)
    if row.state != "expired":
        raise BillNotPayable(state=row.state)
    held = await visits.row_of(connection, row.visit_no, scope=caller.scope)
    placed = await _order(
        connection,
        desk,
        caller,
        institution_id=row.institution_id,
        vuid=held.vuid,
        bill_no=bill_no,
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        total_fen=row.total_fen,
        expires_in_s=new.expires_in_s,
        now=now,
    )
    await connection.execute(
        update(bill)
        .where(bill.c.institution_id == row.institution_id, bill.c.bill_no == bill_no)
        .values(order_no=placed.order_no, order_version=0, state="unpaid")
    )
    return _placed(placed, bill_no=bill_no, visit_no=row.visit_no)


async def hear(connection: Connection, news: Mapping[str, Any]) -> bool:
    """Apply what payments says of a bill's order; older news and news of a replaced order change nothing."""
    done = await connection.execute(
        update(bill)
        .where(
            bill.c.institution_id == news["institution_id"],
            bill.c.bill_no == news["source_id"],
            bill.c.order_no == news["order_no"],
            bill.c.order_version < news["version"],
        )
        .values(
            state=_STATES[news["state"]],
            order_version=news["version"],
            paid_fen=news["paid_fen"],
            refunded_fen=news["refunded_fen"],
            paid_at=datetime.fromisoformat(news["paid_at"]) if news["paid_at"] else None,
        )
    )
    return done.rowcount == 1


async def _order(
    connection: Connection,
    desk: Desk,
    caller: Caller,
    *,
    institution_id: str,
    vuid: str,
    bill_no: str,
    description: str,
    items: list[Item],
    total_fen: int,
    expires_in_s: int,
    now: datetime,
) -> PlacedOrder:
    demand = orders.Demand(
        institution_id=institution_id,
        caller_id=caller.caller_id,
        source_kind=SOURCE_KIND,
        source_id=bill_no,
        description=description,
        items=items,
        amount_fen=total_fen,
        expires_in_s=expires_in_s,
        vuid=vuid,
    )
    return await orders.create(connection, demand, desk=desk, now=now)


def _placed(placed: PlacedOrder, *, bill_no: str, visit_no: str) -> PlacedBill:
    return PlacedBill(
        bill_no=bill_no,
        visit_no=visit_no,
        order_no=placed.order_no,
        total_fen=placed.amount_fen,
        state="unpaid",
        expires_at=placed.expires_at,
        cashier_url=placed.cashier_url,
    )
