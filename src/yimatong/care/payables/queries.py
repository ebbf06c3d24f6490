"""Every SELECT of payables, with whose bills a caller may see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, func, select, tuple_

from yimatong.access import callers
from yimatong.access.caller import PLATFORM, Caller
from yimatong.cards.accounts import queries as cards
from yimatong.cards.errors import AccountNotFound
from yimatong.cards.family import queries as families
from yimatong.care.models import bill, visit
from yimatong.care.payables.schemas import Payable, Payables
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.kit import cursors
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.masking import PersonName
from yimatong.payments.orders.schemas import Item

_WAITING = ("unpaid", "expired")


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bills they are: every VUID that her account has or had, and the name to show."""

    vuid: str
    vuids: tuple[str, ...]
    name: str
    own: bool


async def patients(connection: Connection, vault: Vault, vuid: str, *, caller: Caller, now: datetime) -> list[Patient]:
    """Return whose bills may be paid: the resident's own, and by an app those of whom she cares for.

    A hospital's own system or terminal sees everybody who was there; an app must hold the account.

    Raises:
        AccountNotFound: no such account, or not this app's.
    """
    try:
        row = await cards.held(connection, vuid, scope=PLATFORM if caller.at_counter else caller.scope)
    except AccountNotFound:
        if caller.at_counter:  # a hospital is not told whether an account exists that it has no bills of
            return [Patient(vuid=vuid, vuids=(vuid,), name="", own=True)]
        raise
    person = await persons.read(connection, await vault.sealer(), row.mpi)
    own = Patient(
        vuid=row.vuid, vuids=tuple(await cards.group(connection, row.vuid)), name=str.__str__(person.name), own=True
    )
    if caller.at_counter:
        return [own]
    family = await families.of_account(connection, row.vuid, row.mpi, vault, today=business_date(now))
    found = [own]
    for member in family.relations:
        if member.role == "member" and member.vuid:
            vuids = tuple(await cards.group(connection, member.vuid))
            found.append(Patient(vuid=member.vuid, vuids=vuids, name=PersonName(member.name).masked, own=False))
    return found


async def page(
    connection: Connection, whose: Sequence[Patient], *, caller: Caller, limit: int, cursor: str = ""
) -> Payables:
    """Return what is to be paid, oldest first; ``total_fen`` is of all pages.

    Raises:
        InvalidInput: not a cursor of ours.
    """
    waiting = (
        select(bill, visit.c.vuid, visit.c.state.label("visit_state"))
        .join(visit, (visit.c.institution_id == bill.c.institution_id) & (visit.c.visit_no == bill.c.visit_no))
        .where(visit.c.vuid.in_([vuid for each in whose for vuid in each.vuids]), bill.c.state.in_(_WAITING))
    )
    if caller.institution_id is not None:
        waiting = waiting.where(bill.c.institution_id == caller.institution_id)
    total = await connection.execute(select(func.coalesce(func.sum(waiting.subquery().c.total_fen), 0)))
    key = (bill.c.created_at, bill.c.institution_id, bill.c.bill_no)
    if cursor:
        waiting = waiting.where(tuple_(*key) > tuple_(*cursors.read(cursor, texts=2)))
    rows = (await connection.execute(waiting.order_by(*key).limit(limit + 1))).all()
    shown, by_vuid = rows[:limit], {vuid: each for each in whose for vuid in each.vuids}
    named = await callers.institution_names(connection, {row.institution_id for row in shown})
    return Payables(
        payables=[_payable(row, by_vuid[row.vuid], named) for row in shown],
        total_fen=int(total.scalar_one()),
        next=cursors.write(shown[-1].created_at, shown[-1].institution_id, shown[-1].bill_no)
        if len(rows) > limit
        else "",
    )


async def chosen(connection: Connection, institution_id: str, bills: Sequence[str], *, lock: bool) -> list[Row[Any]]:
    """Return the rows of some bills of an institution with their patients, by number; locked in that order."""
    query = (
        select(bill, visit.c.vuid, visit.c.state.label("visit_state"))
        .join(visit, (visit.c.institution_id == bill.c.institution_id) & (visit.c.visit_no == bill.c.visit_no))
        .where(bill.c.institution_id == institution_id, bill.c.bill_no.in_(bills))
        .order_by(bill.c.bill_no)
    )
    rows = await connection.execute(query.with_for_update(of=bill) if lock else query)
    return list(rows.all())


def stands_alone(row: Row[Any]) -> bool:
    """Say whether a bill is paid in an order of its own: pure.

    A deposit, the settlement of a stay (its receipt is an inpatient's, and of the whole stay), or what a booked visit
    depends on.
    """
    return bool(row.kind in {"deposit", "inpatient"} or row.visit_state == "booked")


def _payable(row: Row[Any], patient: Patient, named: dict[str, str]) -> Payable:
    return Payable(
        institution_id=row.institution_id,
        institution_name=named.get(row.institution_id, row.institution_id),
        bill_no=row.bill_no,
        visit_no=row.visit_no,
        kind=row.kind,
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        total_fen=row.total_fen,
        patient=patient.name,
        patient_vuid=patient.vuid,
        own=patient.own,
        alone=stands_alone(row),
        app_until=row.app_until,
        created_at=row.created_at,
    )
