"""HTTP of prescription codes."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import AccountNotFound, TerminalThrottled
from yimatong.care.errors import (
    BillNotFound,
    BillNotPayable,
    PrescriptionCodeUnknown,
    PrescriptionOrderedWithOthers,
    PrescriptionOver,
)
from yimatong.care.prescriptions import service
from yimatong.care.prescriptions.schemas import CodeToResolve, NewPrint, PrintedCode, ResolvedPrescription
from yimatong.payments.desk import Desk
from yimatong.payments.errors import AppTimeOver, OrderExpired, OrderNotPayable

OwnNumber = Annotated[
    str, PathParameter(pattern="^[A-Za-z0-9_.-]{1,64}(?!\\n)$", description="the institution's own number")
]


@post(
    "/api/v1/prescription-codes/resolve",
    permission="payables:pay",
    reads="personal",
    status_code=200,
    responses=documented(
        ResolvedPrescription,
        AccountNotFound,
        PrescriptionCodeUnknown,
        PrescriptionOver,
        PrescriptionOrderedWithOthers,
        OrderNotPayable,
        OrderExpired,
        AppTimeOver,
        TerminalThrottled,
        status=200,
    ),
)
async def resolve_prescription(
    data: JSONBody[CodeToResolve], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> ResolvedPrescription:
    """识读处方缴费码. What a printed code is for; an app may pay it from now on, for its half hour."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await service.resolve(desk, data, caller=call.caller, now=call.now)


@post(
    "/api/v1/bills/{bill_no:str}/code",
    permission="bills:write",
    status_code=201,
    responses=documented(PrintedCode, BillNotFound, BillNotPayable),
)
async def print_prescription_again(
    bill_no: OwnNumber, data: JSONBody[NewPrint], call: NamedDependency[Call]
) -> Response[bytes]:
    """补打处方缴费码. Print the code of a prescription again; the slip before is dead."""
    return await call.write(lambda tx: service.print_again(tx, bill_no, data, caller=call.caller, now=call.now))


ROUTES = [resolve_prescription, print_prescription_again]
