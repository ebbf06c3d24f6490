"""The verb of payables: one order for several bills of one hospital.

A bill stands in one open order. Those that its bills stood in before are closed at their channels first; a bill that
turns out to be paid drops out and is told. Asked again for the same bills, the same order goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, update

from yimatong.access.caller import PLATFORM, Caller
from yimatong.care.bills import service as billing
from yimatong.care.errors import BillBusy, BillNotFound, BillNotPayable, BillStandsAlone
from yimatong.care.models import bill
from yimatong.care.payables import queries
from yimatong.care.payables.queries import Patient
from yimatong.care.payables.schemas import NewPayablesOrder, PayablesOrder
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id
from yimatong.payments import sources
from yimatong.payments.desk import Desk
from yimatong.payments.errors import AppTimeOver, OrderExpired, OrderNotClosable, OrderNotPayable
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders import service as paying
from yimatong.payments.orders.schemas import EXPIRES_S_DEFAULT, Item, PlacedOrder
from yimatong.payments.service_channels import service as services
from yimatong.payments.states import ORDER_UNPAID

_ROUNDS: Final = 4
_WAITING: Final = ("unpaid", "expired")


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what, when."""

    new: NewPayablesOrder
    caller: Caller
    now: datetime


async def order(desk: Desk, new: NewPayablesOrder, *, caller: Caller, now: datetime) -> PayablesOrder:
    """Make the order that pays some bills, or go on with the one that is there.

    Raises:
        AccountNotFound, BillNotFound: not this payer's to pay, or not of this hospital.
        BillNotPayable: paid by now. BillBusy: a payment of it is not known to have ended; ask again.
        BillStandsAlone: a deposit or the fee of a booked visit together with others.
        AppTimeOver: a prescription in an app, after its thirty minutes.
        ServiceChannelNotFound, ServiceChannelOff, TerminalNotOfChannel, ProofWrong: where it comes from does not hold.
    """
    asked = _Asked(new=new, caller=caller, now=now)
    wanted = sorted(set(new.bills))
    dropped: list[str] = []
    for round_ in range(_ROUNDS):
        async with desk.db.transaction() as connection:
            whose = await queries.patients(connection, desk.vault, new.payer_vuid, caller=caller, now=now)
            rows = await queries.chosen(connection, new.institution_id, wanted, lock=False)
            _require_payable(rows, wanted, whose, asked)
            if round_ == 0:
                await _admit(connection, desk, rows, asked)
            standing = await _standing(connection, rows)
            same = await _going_on(connection, rows, standing, whose, asked)
            if same is not None:
                link = await paying.new_cashier_link(connection, same.order_no, desk=desk, scope=PLATFORM, now=now)
                return _answer(rows, same, link.cashier_url, dropped)
            if standing and any(row.visit_state == "booked" for row in rows):
                raise BillStandsAlone  # to close its order is to release the visit
        paid = [number for number in sorted(standing) if await _turns_out_paid(desk, standing[number], now=now)]
        if paid:
            dropped += [row.bill_no for row in rows if row.order_no in paid]
            wanted = [number for number in wanted if number not in dropped]
            if not wanted:
                raise BillNotPayable(state="paid")
            continue
        async with desk.db.transaction() as connection:
            locked = await queries.chosen(connection, new.institution_id, wanted, lock=True)
            if [row.order_no for row in locked] == [row.order_no for row in rows]:
                _require_payable(locked, wanted, whose, asked)
                placed = await _place(connection, desk, locked, whose, asked)
                return _answer(locked, placed, placed.cashier_url, dropped)
    raise BillBusy


async def hear(connection: Connection, news: dict[str, Any]) -> None:
    """Apply what payments says of an order of several bills to each of them; older news changes nothing."""
    for bill_no, sums in sorted(news.get("sources", {}).items()):
        await connection.execute(
            update(bill)
            .where(
                bill.c.institution_id == news["institution_id"],
                bill.c.bill_no == bill_no,
                bill.c.order_no == news["order_no"],
                bill.c.order_version < news["version"],
                bill.c.state != "void",
            )
            .values(
                state=state_of(sums, closed=news["state"] == "closed"),
                order_version=news["version"],
                paid_fen=sums["paid_fen"],
                refunded_fen=sums["refunded_fen"],
                paid_at=datetime.fromisoformat(news["paid_at"]) if news["paid_at"] else None,
            )
        )


def state_of(sums: dict[str, int], *, closed: bool) -> str:
    """Return how a bill stands by what was paid of it and came back: pure."""
    if closed:
        return "expired"
    if not sums["paid_fen"]:
        return "unpaid"
    if not sums["refunded_fen"]:
        return "paid"
    return "refunded" if sums["refunded_fen"] >= sums["paid_fen"] else "partly_refunded"


def _require_payable(rows: Sequence[Row[Any]], wanted: Sequence[str], whose: Sequence[Patient], asked: _Asked) -> None:
    caller = asked.caller
    mine = {vuid for each in whose for vuid in each.vuids}
    foreign = caller.institution_id is not None and any(row.institution_id != caller.institution_id for row in rows)
    if len(rows) != len(wanted) or foreign or any(row.vuid not in mine for row in rows):
        raise BillNotFound
    for row in rows:
        if row.state not in _WAITING:
            raise BillNotPayable(state=row.state)
        if not caller.at_counter and row.app_until is not None and row.app_until <= asked.now:
            raise AppTimeOver
        if queries.stands_alone(row) and len(rows) > 1:
            raise BillStandsAlone


async def _admit(connection: Connection, desk: Desk, rows: Sequence[Row[Any]], asked: _Asked) -> None:
    """Check where the payment starts from; a proof is over the bills that were chosen, and their sum.

    Raises:
        ServiceChannelNotFound, ServiceChannelOff, TerminalNotOfChannel, ProofWrong.
    """
    placing = services.Placing(
        service_channel_id=asked.new.service_channel_id or None,
        terminal_no=asked.new.terminal_no,
        proof=asked.new.proof,
        source_no=",".join(sorted(row.bill_no for row in rows)),
        amount_fen=sum(row.total_fen for row in rows),
    )
    await services.admit(connection, desk.vault, placing, caller=asked.caller, now=asked.now)


async def _standing(connection: Connection, rows: Sequence[Row[Any]]) -> dict[str, Row[Any]]:
    """Return the orders that the bills stand in and that are not closed, by number."""
    found = await orders.rows_of(connection, {row.order_no for row in rows})
    return {number: row for number, row in found.items() if row.state != "closed"}


async def _going_on(
    connection: Connection,
    rows: Sequence[Row[Any]],
    standing: dict[str, Row[Any]],
    whose: Sequence[Patient],
    asked: _Asked,
) -> Row[Any] | None:
    """Return the order that the bills stand in when it is for just these and can be paid, by this payer now."""
    if len(standing) != 1 or len({row.order_no for row in rows}) != 1:
        return None
    (held,) = standing.values()
    paid_by_it = {str(item.get("source_no") or held.source_id) for item in held.items}
    another = held.service_channel_id != (asked.new.service_channel_id or held.service_channel_id)
    if another or paid_by_it != {row.bill_no for row in rows}:
        return None
    app = None if asked.caller.at_counter else asked.caller.caller_id
    try:
        return await paying.let_pay(
            connection, held.order_no, payer_vuid=whose[0].vuid, payer_caller_id=app, now=asked.now
        )
    except (OrderNotPayable, OrderExpired):
        return None


async def _turns_out_paid(desk: Desk, held: Row[Any], *, now: datetime) -> bool:
    """Close an order at its channels; say whether it turned out to be paid.

    Raises:
        BillBusy: a channel is silent; its payment may still arrive.
    """
    if held.state not in ORDER_UNPAID:
        return True
    try:
        ended = await paying.close(desk, held.order_no, scope=PLATFORM, now=now)
    except OrderNotClosable:
        return True
    if ended.state in ORDER_UNPAID:
        raise BillBusy
    return ended.state != "closed"


async def _place(
    connection: Connection, desk: Desk, rows: Sequence[Row[Any]], whose: Sequence[Patient], asked: _Asked
) -> PlacedOrder:
    new, caller, now = asked.new, asked.caller, asked.now
    amount_fen = sum(row.total_fen for row in rows)
    deposit = rows[0].kind == billing.DEPOSIT
    source_id = rows[0].bill_no if deposit else new_id("bls")
    patients = {row.vuid for row in rows}
    app_untils = [row.app_until for row in rows if row.app_until is not None]
    demand = paying.Demand(
        institution_id=new.institution_id,
        caller_id=caller.caller_id,
        source_kind=sources.DEPOSIT if deposit else sources.SEVERAL,
        source_id=source_id,
        description=rows[0].description if len(rows) == 1 else f"{rows[0].description[:100]} 等 {len(rows)} 笔",
        items=[
            msgspec.structs.replace(item, source_no=row.bill_no)
            for row in rows
            for item in msgspec.convert(row.items, list[Item])
        ],
        amount_fen=amount_fen,
        expires_in_s=EXPIRES_S_DEFAULT,
        app_s=billing.app_left_s(min(app_untils, default=None), now=now),
        vuid=patients.pop() if len(patients) == 1 else whose[0].vuid,
        payer_vuid=whose[0].vuid,
        payer_caller_id=None if caller.at_counter else caller.caller_id,
        service_channel_id=new.service_channel_id or None,
        terminal_no=new.terminal_no,
        return_url=new.return_url,
    )
    placed = await paying.create(connection, demand, desk=desk, now=now)
    await connection.execute(
        update(bill)
        .where(bill.c.institution_id == new.institution_id, bill.c.bill_no.in_([row.bill_no for row in rows]))
        .values(order_no=placed.order_no, order_version=0, state="unpaid")
    )
    return placed


def _answer(
    rows: Sequence[Row[Any]], placed: PlacedOrder | Row[Any], cashier_url: str, dropped: list[str]
) -> PayablesOrder:
    return PayablesOrder(
        order_no=placed.order_no,
        bills=[row.bill_no for row in rows],
        dropped=dropped,
        amount_fen=placed.amount_fen,
        expires_at=placed.expires_at,
        cashier_url=cashier_url,
    )
