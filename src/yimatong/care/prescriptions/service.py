"""The verbs of prescription codes: resolve one that was read, print one again.

In an app it is good for thirty minutes after the prescription was booked: then the answer leads to a kiosk or window,
which resolve it until its order ends. Resolving gives the app the right to pay, and nothing else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from yimatong.access import callers
from yimatong.access.caller import PLATFORM, Caller
from yimatong.cards.accounts import queries as cards
from yimatong.care.bills import queries as bills
from yimatong.care.bills import service as billing
from yimatong.care.errors import (
    BillNotPayable,
    PrescriptionCodeUnknown,
    PrescriptionOrderedWithOthers,
    PrescriptionOver,
)
from yimatong.care.prescriptions import guesses, queries
from yimatong.care.prescriptions.schemas import CodeToResolve, NewPrint, PrintedCode, ResolvedPrescription
from yimatong.care.printed_codes import printing, texts
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput
from yimatong.payments.desk import Desk
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders import service as paying
from yimatong.payments.orders.schemas import Item
from yimatong.payments.states import ORDER_PAYABLE


async def resolve(desk: Desk, wanted: CodeToResolve, *, caller: Caller, now: datetime) -> ResolvedPrescription:
    """Tell what a prescription code is for; an app may pay it from now on.

    Raises:
        InvalidInput: an app that names no account. AccountNotFound: not an account of this app.
        TerminalThrottled: too many texts that are none. PrescriptionCodeUnknown: none, or another hospital's.
        PrescriptionOver, PrescriptionOrderedWithOthers, OrderExpired: nothing to pay by it.
        AppTimeOver: an app, after its thirty minutes.
    """
    if not caller.at_counter and not wanted.vuid:
        raise InvalidInput(detail="vuid")
    try:
        async with desk.db.transaction() as connection:
            await guesses.admit(connection, caller, wanted.vuid, now=now)
            row = await queries.by_digest(connection, texts.digest_of(wanted.code), caller=caller)
            return await _open(connection, desk, row, wanted, caller=caller, now=now)
    except PrescriptionCodeUnknown:
        async with desk.db.transaction() as connection:
            await guesses.count(connection, caller, wanted.vuid, now=now)
        raise


async def print_again(
    connection: Connection, bill_no: str, new: NewPrint, *, caller: Caller, now: datetime
) -> PrintedCode:
    """Make a new code for a prescription that is still to be paid. The time in apps is not longer for it.

    Raises:
        BillNotFound. BillNotPayable: no prescription, or paid.
    """
    row = await bills.lock(connection, bill_no, scope=caller.scope)
    if row.kind != billing.PRESCRIPTION or row.state not in {"unpaid", "expired"}:
        raise BillNotPayable(state=row.state if row.kind == billing.PRESCRIPTION else row.kind)
    printed = await printing.print_code(connection, row.institution_id, bill_no, image=new.code_image, now=now)
    return PrintedCode(bill_no=bill_no, code=printed.code, code_image=printed.image)


async def _open(
    connection: Connection, desk: Desk, row: Row[Any], wanted: CodeToResolve, *, caller: Caller, now: datetime
) -> ResolvedPrescription:
    held = await orders.row_of(connection, row.order_no, scope=PLATFORM)
    if held.state not in ORDER_PAYABLE:
        raise PrescriptionOver(state=held.state)
    if {str(item.get("source_no") or held.source_id) for item in held.items} != {row.bill_no}:
        raise PrescriptionOrderedWithOthers
    cashier_url = ""
    if caller.at_counter:
        paying.require_payable(held, at_counter=True, now=now)
    else:
        payer = await cards.held(connection, wanted.vuid, scope=caller.scope)
        await paying.let_pay(connection, row.order_no, payer_vuid=payer.vuid, payer_caller_id=caller.caller_id, now=now)
        link = await paying.new_cashier_link(connection, row.order_no, desk=desk, scope=PLATFORM, now=now)
        cashier_url = link.cashier_url
    patient = await persons.read(connection, await desk.vault.sealer(), (await cards.latest(connection, row.vuid)).mpi)
    named = await callers.institution_names(connection, {row.institution_id})
    return ResolvedPrescription(
        institution_id=row.institution_id,
        institution_name=named.get(row.institution_id, row.institution_id),
        bill_no=row.bill_no,
        order_no=row.order_no,
        patient=patient.name.masked,
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        amount_fen=held.amount_fen,
        app_until=row.app_until,
        app_left_s=billing.app_left_s(row.app_until, now=now) or 0,
        expires_at=held.expires_at,
        cashier_url=cashier_url,
    )
