"""HTTP of stays in hospital."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import RecordNotFound
from yimatong.care.admissions import queries, service, settling
from yimatong.care.admissions.schemas import AdmissionView, NewAdmission, NewDeposit, NewSettlement, SettledStay
from yimatong.care.errors import (
    AdmissionNotFound,
    AdmissionSettled,
    BillExists,
    DepositPending,
    SettlementDiffers,
    VerificationTooOld,
    VerificationUsed,
    VisitExists,
)
from yimatong.care.placed import PlacedBill
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ItemsDoNotAddUp

OwnNumber = Annotated[
    str, PathParameter(pattern="^[A-Za-z0-9_.-]{1,64}(?!\\n)$", description="the institution's own number")
]


@post(
    "/api/v1/admissions",
    permission="visits:write",
    status_code=201,
    responses=documented(AdmissionView, RecordNotFound, VerificationTooOld, VerificationUsed, VisitExists),
)
async def admit(data: JSONBody[NewAdmission], call: NamedDependency[Call]) -> Response[bytes]:
    """住院登记. Register a stay within ten minutes after this institution verified the resident's code."""
    return await call.write(lambda tx: service.admit(tx, data, caller=call.caller, now=call.now))


@get(
    "/api/v1/admissions/{admission_no:str}",
    permission="bills:read",
    reads="personal",
    responses=documented(AdmissionView, AdmissionNotFound, status=200),
)
async def read_admission(admission_no: OwnNumber, call: NamedDependency[Call]) -> AdmissionView:
    """查询住院登记、预交金与结算. Read a stay with its deposits, what went back of them, and its settlement."""
    return await call.read(lambda tx: queries.view(tx, admission_no, scope=call.caller.scope))


@post(
    "/api/v1/admissions/{admission_no:str}/deposits",
    permission="bills:write",
    status_code=201,
    responses=documented(PlacedBill, AdmissionNotFound, AdmissionSettled, BillExists),
)
async def ask_deposit(
    admission_no: OwnNumber, data: JSONBody[NewDeposit], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """缴纳预交金. Ask for a deposit of a stay; it is a bill with an order like any other."""
    return await call.write(
        lambda tx: service.ask_deposit(tx, admission_no, data, desk=desk, caller=call.caller, now=call.now)
    )


@post(
    "/api/v1/admissions/{admission_no:str}/settlement",
    permission="bills:write",
    reads="personal",
    status_code=200,
    responses=documented(
        SettledStay,
        AdmissionNotFound,
        SettlementDiffers,
        DepositPending,
        BillExists,
        ItemsDoNotAddUp,
        status=200,
        keyed=False,
    ),
)
async def settle_stay(
    admission_no: OwnNumber, data: JSONBody[NewSettlement], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> SettledStay:
    """出院结算. Settle a stay; its number makes a repeat answer the same, so no idempotency key is needed."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await settling.settle(desk, admission_no, data, caller=call.caller, now=call.now)


ROUTES = [admit, read_admission, ask_deposit, settle_stay]
