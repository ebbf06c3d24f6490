"""Every SELECT of bills."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, false, select, true

from yimatong.access.caller import Scope
from yimatong.care.bills.schemas import BillView, VisitBills
from yimatong.care.errors import BillNotFound
from yimatong.care.models import bill
from yimatong.care.visits import queries as visits
from yimatong.kit.db import Connection
from yimatong.payments.orders.schemas import Item


async def find(connection: Connection, bill_no: str, *, scope: Scope) -> BillView:
    """Return a bill of the scope's institution.

    Raises:
        BillNotFound: no such bill in ``scope``.
    """
    found = await connection.execute(select(bill).where(bill.c.bill_no == bill_no, _within(scope)))
    row = found.first()
    if row is None:
        raise BillNotFound
    return view(row)


async def exists(connection: Connection, bill_no: str, *, institution_id: str) -> bool:
    """Say whether an institution used a bill number."""
    found = await connection.execute(
        select(bill.c.bill_no).where(bill.c.institution_id == institution_id, bill.c.bill_no == bill_no)
    )
    return found.first() is not None


async def lock(connection: Connection, bill_no: str, *, scope: Scope) -> Row[Any]:
    """Return a bill's row, locked; errors as ``find``."""
    found = await connection.execute(select(bill).where(bill.c.bill_no == bill_no, _within(scope)).with_for_update())
    row = found.first()
    if row is None:
        raise BillNotFound
    return row


async def of_visit(connection: Connection, visit_no: str, *, scope: Scope) -> VisitBills:
    """Return every bill of a visit.

    Raises:
        VisitNotFound: no such visit in ``scope``.
    """
    held = await visits.row_of(connection, visit_no, scope=scope)
    rows = await connection.execute(
        select(bill)
        .where(bill.c.institution_id == held.institution_id, bill.c.visit_no == visit_no)
        .order_by(bill.c.created_at, bill.c.bill_no)
    )
    return VisitBills(bills=[view(row) for row in rows])


async def deposits(connection: Connection, institution_id: str, admission_no: str, *, lock: bool) -> list[Row[Any]]:
    """Return the deposits of a stay, oldest first; locked in that order."""
    query = (
        select(bill)
        .where(bill.c.institution_id == institution_id, bill.c.visit_no == admission_no, bill.c.kind == "deposit")
        .order_by(bill.c.created_at, bill.c.bill_no)
    )
    return list((await connection.execute(query.with_for_update() if lock else query)).all())


def view(row: Row[Any]) -> BillView:
    """Return a bill's row as callers see it."""
    return BillView(
        bill_no=row.bill_no,
        visit_no=row.visit_no,
        kind=row.kind,
        order_no=row.order_no,
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        total_fen=row.total_fen,
        state=row.state,
        paid_fen=row.paid_fen,
        refunded_fen=row.refunded_fen,
        used_fen=row.used_fen,
        app_until=row.app_until,
        paid_at=row.paid_at,
        created_at=row.created_at,
    )


def _within(scope: Scope) -> ColumnElement[bool]:
    if scope.all_rows:
        return true()
    return bill.c.institution_id == scope.institution_id if scope.institution_id is not None else false()
