"""The verbs of bills: book one with its order, give an expired one a new order, hear from payments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import Caller
from yimatong.care.bills import queries
from yimatong.care.bills.schemas import NewBill, NewBillOrder
from yimatong.care.errors import BillExists, BillNotPayable
from yimatong.care.models import bill
from yimatong.care.placed import CodeImage, PlacedBill
from yimatong.care.printed_codes import printing
from yimatong.care.visits import queries as visits
from yimatong.care.visits import releasing
from yimatong.kit.db import Connection
from yimatong.payments import sources
from yimatong.payments.desk import Desk
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import EXPIRES_S_DEFAULT, Item, PlacedOrder

DEPOSIT: Final = "deposit"
"""The kind of a bill that asks for a deposit of a stay."""
PRESCRIPTION: Final = "prescription"
APP_S: Final = 30 * 60
"""A prescription is payable in an app for thirty minutes after it was booked, whatever order it stands in."""
_LONG_S: Final = 24 * 3600
_EXPIRES_S: Final = {PRESCRIPTION: _LONG_S, DEPOSIT: _LONG_S, "inpatient": _LONG_S}
_STATES: Final = {
    "paid": "paid",
    "partly_refunded": "partly_refunded",
    "refunded": "refunded",
    "closed": "expired",
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A bill to book, of whichever kind; ``vuid`` is the patient's."""

    institution_id: str
    visit_no: str
    vuid: str
    bill_no: str
    kind: str
    description: str
    items: list[Item]
    total_fen: int
    expires_in_s: int | None = None
    code_image: CodeImage = "none"


async def book(connection: Connection, new: NewBill, *, desk: Desk, caller: Caller, now: datetime) -> PlacedBill:
    """Book a bill of a visit and create its order, both or neither.

    Raises:
        VisitNotFound, BillExists, ItemsDoNotAddUp.
    """
    held = await visits.row_of(connection, new.visit_no, scope=caller.scope)
    wanted = Wanted(
        institution_id=held.institution_id,
        visit_no=new.visit_no,
        vuid=held.vuid,
        bill_no=new.bill_no,
        kind=new.kind,
        description=new.description,
        items=new.items,
        total_fen=new.total_fen,
        expires_in_s=new.expires_in_s,
        code_image=new.code_image,
    )
    return await make(connection, wanted, desk=desk, caller=caller, now=now)


async def make(connection: Connection, wanted: Wanted, *, desk: Desk, caller: Caller, now: datetime) -> PlacedBill:
    """Book a bill with its order in the open transaction; a prescription gets its code.

    Raises:
        BillExists, ItemsDoNotAddUp.
    """
    if await queries.exists(connection, wanted.bill_no, institution_id=wanted.institution_id):
        raise BillExists(bill_no=wanted.bill_no)
    app_until = now + timedelta(seconds=APP_S) if wanted.kind == PRESCRIPTION else None
    placed = await _order(connection, desk, caller, wanted, app_until=app_until, now=now)
    made = await connection.execute(
        insert(bill)
        .values(
            institution_id=wanted.institution_id,
            bill_no=wanted.bill_no,
            kind=wanted.kind,
            visit_no=wanted.visit_no,
            order_no=placed.order_no,
            description=wanted.description,
            items=msgspec.to_builtins(wanted.items),
            total_fen=wanted.total_fen,
            app_until=app_until,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(bill.c.bill_no)
    )
    if made.first() is None:
        raise BillExists(bill_no=wanted.bill_no)
    printed = printing.NOTHING
    if wanted.kind == PRESCRIPTION:
        printed = await printing.print_code(
            connection, wanted.institution_id, wanted.bill_no, image=wanted.code_image, now=now
        )
    return _placed(placed, wanted, app_until=app_until, printed=printed)


async def order_again(
    connection: Connection, bill_no: str, new: NewBillOrder, *, desk: Desk, caller: Caller, now: datetime
) -> PlacedBill:
    """Give a bill whose order expired unpaid a new one. What an app may still pay ends when it would have ended.

    Raises:
        BillNotFound, BillNotPayable.
    """
    row = await queries.lock(connection, bill_no, scope=caller.scope)
    if row.state != "expired":
        raise BillNotPayable(state=row.state)
    held = await visits.row_of(connection, row.visit_no, scope=caller.scope)
    wanted = Wanted(
        institution_id=row.institution_id,
        visit_no=row.visit_no,
        vuid=held.vuid,
        bill_no=bill_no,
        kind=row.kind,
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        total_fen=row.total_fen,
        expires_in_s=new.expires_in_s,
    )
    placed = await _order(connection, desk, caller, wanted, app_until=row.app_until, now=now)
    await connection.execute(
        update(bill)
        .where(bill.c.institution_id == row.institution_id, bill.c.bill_no == bill_no)
        .values(order_no=placed.order_no, order_version=0, state="unpaid")
    )
    return _placed(placed, wanted, app_until=row.app_until)


async def hear(connection: Connection, news: Mapping[str, Any]) -> bool:
    """Apply what payments says of a bill's order; older news and news of a replaced order change nothing.

    A booked visit follows its registration fee: paid, it is registered; closed unpaid, it is released and the hospital
    is told.
    """
    done = await connection.execute(
        update(bill)
        .where(
            bill.c.institution_id == news["institution_id"],
            bill.c.bill_no == news["source_id"],
            bill.c.order_no == news["order_no"],
            bill.c.order_version < news["version"],
            bill.c.state != "void",
        )
        .values(
            state=_STATES[news["state"]],
            order_version=news["version"],
            paid_fen=news["paid_fen"],
            refunded_fen=news["refunded_fen"],
            paid_at=datetime.fromisoformat(news["paid_at"]) if news["paid_at"] else None,
        )
        .returning(bill.c.kind, bill.c.visit_no, bill.c.institution_id, bill.c.bill_no)
    )
    row = done.first()
    if row is None:
        return False
    if row.kind == "registration":
        released = await releasing.follow_fee(connection, row, news)
        if released:
            await connection.execute(
                update(bill)
                .where(bill.c.institution_id == row.institution_id, bill.c.bill_no == row.bill_no)
                .values(state="void")
            )
    return True


def app_left_s(app_until: datetime | None, *, now: datetime) -> int | None:
    """Return for how many seconds an app may still pay; None: as long as anybody. Never less than nothing: pure."""
    return None if app_until is None else max(0, int((app_until - now).total_seconds()))


async def _order(
    connection: Connection, desk: Desk, caller: Caller, wanted: Wanted, *, app_until: datetime | None, now: datetime
) -> PlacedOrder:
    demand = orders.Demand(
        institution_id=wanted.institution_id,
        caller_id=caller.caller_id,
        source_kind=sources.DEPOSIT if wanted.kind == DEPOSIT else sources.BILL,
        source_id=wanted.bill_no,
        description=wanted.description,
        items=wanted.items,
        amount_fen=wanted.total_fen,
        expires_in_s=wanted.expires_in_s or _EXPIRES_S.get(wanted.kind, EXPIRES_S_DEFAULT),
        app_s=app_left_s(app_until, now=now),
        vuid=wanted.vuid,
    )
    return await orders.create(connection, demand, desk=desk, now=now)


def _placed(
    placed: PlacedOrder, wanted: Wanted, *, app_until: datetime | None, printed: printing.Printed = printing.NOTHING
) -> PlacedBill:
    return PlacedBill(
        bill_no=wanted.bill_no,
        visit_no=wanted.visit_no,
        kind=wanted.kind,
        order_no=placed.order_no,
        total_fen=placed.amount_fen,
        state="unpaid",
        expires_at=placed.expires_at,
        cashier_url=placed.cashier_url,
        app_until=app_until,
        code=printed.code,
        code_image=printed.image,
    )
