"""Booking a visit, with its registration fee where it has one: visit, bill and order at once, or none of them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from yimatong.access.caller import Caller
from yimatong.care.bills import service as bills
from yimatong.care.visits import queries, service
from yimatong.care.visits.schemas import NewVisit, VisitView
from yimatong.kit.db import Connection
from yimatong.payments.desk import Desk


async def book(connection: Connection, new: NewVisit, *, desk: Desk, caller: Caller, now: datetime) -> VisitView:
    """Register a visit; with a fee it is booked until the fee is paid.

    Raises:
        those of ``service.register``. NotPermitted: a fee by a caller that may book no bills (a kiosk names no prices).
        BillExists, ItemsDoNotAddUp.
    """
    if new.fee is not None:
        caller.require("bills:write")
    registration = service.Registration(
        visit_no=new.visit_no,
        verification_id=new.verification_id,
        vuid=new.vuid,
        department=new.department,
        doctor=new.doctor,
        state="registered" if new.fee is None else "booked",
    )
    row = await service.register(connection, registration, caller=caller, now=now)
    if new.fee is None:
        return queries.view(row)
    wanted = bills.Wanted(
        institution_id=row.institution_id,
        visit_no=row.visit_no,
        vuid=row.vuid,
        bill_no=new.fee.bill_no,
        kind="registration",
        description=new.fee.description,
        items=new.fee.items,
        total_fen=new.fee.total_fen,
        expires_in_s=new.fee.expires_in_s,
    )
    fee = await bills.make(connection, wanted, desk=desk, caller=caller, now=now)
    return msgspec.structs.replace(queries.view(row), fee=fee)
