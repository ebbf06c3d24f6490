"""Every SELECT of stays. What deposits are worth is read from their orders, never from news that may be under way."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, false, select, true

from yimatong.access.caller import PLATFORM, Scope
from yimatong.care.admissions.schemas import AdmissionView, DepositView, Returned, SettlementView
from yimatong.care.bills import queries as bills
from yimatong.care.errors import AdmissionNotFound
from yimatong.care.models import admission, visit
from yimatong.kit.db import Connection
from yimatong.payments.orders import queries as orders
from yimatong.payments.refunds import queries as refunds


async def row_of(connection: Connection, admission_no: str, *, scope: Scope, lock: bool = False) -> Row[Any]:
    """Return a stay's row with its visit's, locked if wanted.

    Raises:
        AdmissionNotFound: no such stay in ``scope``.
    """
    query = (
        select(admission, visit.c.vuid, visit.c.department, visit.c.doctor)
        .join(
            visit,
            (visit.c.institution_id == admission.c.institution_id) & (visit.c.visit_no == admission.c.admission_no),
        )
        .where(admission.c.admission_no == admission_no, _within(scope))
    )
    row = (await connection.execute(query.with_for_update(of=admission) if lock else query)).first()
    if row is None:
        raise AdmissionNotFound
    return row


async def view(connection: Connection, admission_no: str, *, scope: Scope) -> AdmissionView:
    """Return a stay with its deposits and its settlement; errors as ``row_of``."""
    row = await row_of(connection, admission_no, scope=scope)
    rows = await bills.deposits(connection, row.institution_id, admission_no, lock=False)
    deposits = [await _deposit(connection, each) for each in rows]
    return AdmissionView(
        admission_no=row.admission_no,
        institution_id=row.institution_id,
        vuid=row.vuid,
        department=row.department,
        doctor=row.doctor,
        ward=row.ward,
        bed=row.bed,
        state=row.state,
        deposits=deposits,
        left_fen=sum(each.left_fen for each in deposits),
        settlement=await _settlement(connection, row, deposits),
        created_at=row.created_at,
    )


async def _deposit(connection: Connection, row: Row[Any]) -> DepositView:
    held = await orders.row_of(connection, row.order_no, scope=PLATFORM)
    asked = await refunds.of_order(connection, row.order_no, scope=PLATFORM) if held.refund_reserved_fen else []
    return DepositView(
        bill_no=row.bill_no,
        order_no=row.order_no,
        state=row.state,
        amount_fen=row.total_fen,
        paid_fen=held.paid_fen,
        used_fen=held.used_fen,
        left_fen=left_of(held),
        created_at=row.created_at,
        refunds=[
            Returned(refund_no=each.refund_no, amount_fen=each.amount_fen, state=each.state)
            for each in asked
            if each.kind == "asked"
        ],
    )


def left_of(held: Row[Any]) -> int:
    """Return what is left of a deposit's order: paid, not used, not on its way back: pure."""
    return int(held.paid_fen - held.refund_reserved_fen - held.used_fen)


async def _settlement(connection: Connection, row: Row[Any], deposits: list[DepositView]) -> SettlementView | None:
    if row.state != "settled":
        return None
    if row.due_fen:
        held = await bills.find(
            connection, row.settlement_no, scope=Scope(caller_id="", institution_id=row.institution_id)
        )
        receipt_order_no = held.order_no
    else:
        receipt_order_no = next((each.order_no for each in reversed(deposits) if each.used_fen), "")
    return SettlementView(
        settlement_no=row.settlement_no,
        total_fen=row.total_fen,
        used_fen=row.used_fen,
        due_fen=row.due_fen,
        back_fen=row.back_fen,
        bill_no=row.settlement_no if row.due_fen else "",
        receipt_order_no=receipt_order_no,
        settled_at=row.settled_at,
    )


def _within(scope: Scope) -> ColumnElement[bool]:
    if scope.all_rows:
        return true()
    return admission.c.institution_id == scope.institution_id if scope.institution_id is not None else false()
