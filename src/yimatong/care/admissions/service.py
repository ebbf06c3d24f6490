"""The verbs of a stay: admit, and ask for a deposit. Settling it is in ``settling``."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert

from yimatong.access.caller import Caller
from yimatong.care.admissions import queries
from yimatong.care.admissions.schemas import AdmissionView, NewAdmission, NewDeposit
from yimatong.care.bills import service as bills
from yimatong.care.errors import AdmissionSettled
from yimatong.care.models import admission
from yimatong.care.placed import PlacedBill
from yimatong.care.visits import service as visits
from yimatong.kit.db import Connection
from yimatong.payments.desk import Desk
from yimatong.payments.orders.schemas import Item


async def admit(connection: Connection, new: NewAdmission, *, caller: Caller, now: datetime) -> AdmissionView:
    """Register a stay of the resident whose code was verified here: a visit of the kind ``inpatient``.

    Raises:
        RecordNotFound, VerificationTooOld, VerificationUsed, VisitExists, NotPermitted: as for a visit.
    """
    registration = visits.Registration(
        visit_no=new.admission_no,
        verification_id=new.verification_id,
        vuid=new.vuid,
        department=new.department,
        doctor=new.doctor,
        kind="inpatient",
    )
    row = await visits.register(connection, registration, caller=caller, now=now)
    await connection.execute(
        insert(admission).values(
            institution_id=row.institution_id,
            admission_no=new.admission_no,
            ward=new.ward,
            bed=new.bed,
            created_at=now,
        )
    )
    return await queries.view(connection, new.admission_no, scope=caller.scope)


async def ask_deposit(
    connection: Connection, admission_no: str, new: NewDeposit, *, desk: Desk, caller: Caller, now: datetime
) -> PlacedBill:
    """Book a deposit of a stay with its order; there may be many.

    Raises:
        AdmissionNotFound, AdmissionSettled, BillExists.
    """
    row = await queries.row_of(connection, admission_no, scope=caller.scope, lock=True)
    if row.state != "admitted":
        raise AdmissionSettled
    wanted = bills.Wanted(
        institution_id=row.institution_id,
        visit_no=admission_no,
        vuid=row.vuid,
        bill_no=new.bill_no,
        kind="deposit",
        description=new.description,
        items=[Item(name=new.description, amount_fen=new.amount_fen)],
        total_fen=new.amount_fen,
        expires_in_s=new.expires_in_s,
    )
    return await bills.make(connection, wanted, desk=desk, caller=caller, now=now)
