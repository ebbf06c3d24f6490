"""The settlement on discharge (出院结算): deposits pay for the stay, oldest first; the rest is a bill, or goes back.

Deposits whose payment is under way are closed at their channels first: what they become is known before anything is
reckoned. Then, in one transaction: what deposits pay, what goes back to whoever paid them (newest first, the way it
came), the bill for what they do not cover. Asked again under the same number it answers the same; each refund carries
a number made from the settlement's, so a repeat moves nothing twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, update

from yimatong.access.caller import PLATFORM, Caller
from yimatong.care.admissions import queries
from yimatong.care.admissions.schemas import NewSettlement, SettledStay
from yimatong.care.bills import queries as bills
from yimatong.care.bills import service as billing
from yimatong.care.errors import DepositPending, SettlementDiffers
from yimatong.care.models import admission, bill, visit
from yimatong.care.placed import PlacedBill
from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit.db import Connection
from yimatong.payments import sources
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ItemsDoNotAddUp, OrderNotClosable
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders import service as paying
from yimatong.payments.orders.schemas import Item
from yimatong.payments.receipts import service as receipts
from yimatong.payments.receipts.schemas import PaidBy, Stay
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund
from yimatong.payments.states import ORDER_REFUNDABLE, ORDER_UNPAID

_REASON: Final = "出院结算，退还预交金余额"


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What deposits gave for the stay, and what of them goes back; in fen."""

    used_fen: int
    back_fen: int
    last: Row[Any] | None = None
    """The last deposit that paid."""


async def settle(desk: Desk, admission_no: str, new: NewSettlement, *, caller: Caller, now: datetime) -> SettledStay:
    """Settle a stay; settled before under the same number and total, answer how it stands.

    Raises:
        AdmissionNotFound. SettlementDiffers: settled under another number or total.
        DepositPending: the payment of a deposit is not known to have ended; nothing was settled, ask again.
        BillExists: the settlement's number is that of a bill. ItemsDoNotAddUp: to the total.
    """
    _require_sum(new)
    async with desk.db.transaction() as connection:
        row = await _begin(connection, admission_no, new, caller=caller)
        deposits = await bills.deposits(connection, row.institution_id, admission_no, lock=False)
    if row.state != "settled":
        for each in deposits:
            await _end(desk, each.order_no, now=now)
    async with desk.db.transaction() as connection:
        row = await _begin(connection, admission_no, new, caller=caller)
        due = None
        if row.state != "settled":
            due = await _reckon(connection, desk, row, new, caller=caller, now=now)
        return SettledStay(admission=await queries.view(connection, admission_no, scope=caller.scope), due=due)


def _require_sum(new: NewSettlement) -> None:
    items_fen = sum(item.amount_fen for item in new.items)
    if new.items and items_fen != new.total_fen:
        raise ItemsDoNotAddUp(items_fen=items_fen, amount_fen=new.total_fen)


async def _begin(connection: Connection, admission_no: str, new: NewSettlement, *, caller: Caller) -> Row[Any]:
    """Lock the stay and note that it is being settled under this number: from now on it takes no more deposits.

    Until it is settled nothing has moved, so another number or total may take the place of this one.
    """
    row = await queries.row_of(connection, admission_no, scope=caller.scope, lock=True)
    if row.state != "settled":
        await _note(connection, row, state="settling", settlement_no=new.settlement_no, total_fen=new.total_fen)
    elif (row.settlement_no, row.total_fen) != (new.settlement_no, new.total_fen):
        raise SettlementDiffers(settlement_no=row.settlement_no, total_fen=row.total_fen)
    return row


async def _end(desk: Desk, order_no: str, *, now: datetime) -> None:
    """Close a deposit's order that is not paid; one that is paid counts."""
    async with desk.db.read() as connection:
        held = await orders.row_of(connection, order_no, scope=PLATFORM)
    if held.state not in ORDER_UNPAID:
        return
    try:
        ended = await paying.close(desk, order_no, scope=PLATFORM, now=now)
    except OrderNotClosable:
        return
    if ended.state in ORDER_UNPAID:
        raise DepositPending(order_no=order_no)


async def _reckon(
    connection: Connection, desk: Desk, row: Row[Any], new: NewSettlement, *, caller: Caller, now: datetime
) -> PlacedBill | None:
    deposits = await bills.deposits(connection, row.institution_id, row.admission_no, lock=True)
    sums = await _share_out(connection, deposits, new, caller=caller, now=now)
    due_fen = new.total_fen - sums.used_fen
    await _note(
        connection,
        row,
        state="settled",
        used_fen=sums.used_fen,
        back_fen=sums.back_fen,
        due_fen=due_fen,
        settled_at=now,
    )
    await connection.execute(
        update(visit)
        .where(visit.c.institution_id == row.institution_id, visit.c.visit_no == row.admission_no)
        .values(state="finished")
    )
    await _note_receipt(connection, desk, row, new, sums, now=now)
    if not due_fen:
        return None
    wanted = billing.Wanted(
        institution_id=row.institution_id,
        visit_no=row.admission_no,
        vuid=row.vuid,
        bill_no=new.settlement_no,
        kind="inpatient",
        description=new.description,
        items=[Item(name="住院费用（已扣预交金）" if sums.used_fen else "住院费用", amount_fen=due_fen)],
        total_fen=due_fen,
        expires_in_s=new.expires_in_s,
    )
    return await billing.make(connection, wanted, desk=desk, caller=caller, now=now)


async def _note_receipt(
    connection: Connection, desk: Desk, row: Row[Any], new: NewSettlement, sums: Sums, *, now: datetime
) -> None:
    """Say what the stay's one receipt lists: it hangs on the bill, or on the last deposit where there is no bill."""
    due_fen = new.total_fen - sums.used_fen
    if due_fen:
        source_kind, source_id, order_no = sources.BILL, new.settlement_no, ""
    elif sums.last is not None:
        source_kind, source_id, order_no = sources.DEPOSIT, sums.last.bill_no, sums.last.order_no
    else:
        return
    await receipts.note_stay(
        connection,
        desk.vault,
        PaidBy(institution_id=row.institution_id, source_kind=source_kind, source_id=source_id, order_no=order_no),
        Stay(
            admission_no=row.admission_no,
            department=row.department,
            admitted_at=row.created_at,
            settled_at=now,
            prepaid_fen=sums.used_fen + sums.back_fen,
            due_fen=due_fen,
            back_fen=sums.back_fen,
            items=tuple(new.items) or (Item(name="住院费用", amount_fen=new.total_fen),),
        ),
        now=now,
    )


async def _share_out(
    connection: Connection, deposits: list[Row[Any]], new: NewSettlement, *, caller: Caller, now: datetime
) -> Sums:
    """Let the deposits pay, oldest first; void what was never paid; send back what is left, newest first."""
    used_fen, back_fen, paid, last = 0, 0, [], None
    for each in deposits:
        held = await orders.row_of(connection, each.order_no, scope=PLATFORM)
        if held.state in ORDER_UNPAID:
            raise DepositPending(order_no=each.order_no)
        if held.state in ORDER_REFUNDABLE:
            gave = await paying.use_deposit(
                connection, each.order_no, new.total_fen - used_fen, key=new.settlement_no, now=now
            )
            used_fen += gave
            await _note_deposit(connection, each, used_fen=gave)
            paid.append(each)
            last = each if gave else last
        elif held.state == "closed":
            await _note_deposit(connection, each, state="void")
    for each in reversed(paid):
        back_fen += await _send_back(connection, each, new.settlement_no, caller=caller, now=now)
    return Sums(used_fen=used_fen, back_fen=back_fen, last=last)


async def _send_back(
    connection: Connection, deposit: Row[Any], settlement_no: str, *, caller: Caller, now: datetime
) -> int:
    """Ask for what is left of a deposit to go back the way it came; return its fen. The order is locked already."""
    left_fen = queries.left_of(await orders.row_of(connection, deposit.order_no, scope=PLATFORM))
    if not left_fen:
        return 0
    wanted = NewRefund(
        order_no=deposit.order_no, request_no=request_no(settlement_no), amount_fen=left_fen, reason=_REASON
    )
    await refunds.ask(connection, wanted, caller=caller, now=now)
    return left_fen


def request_no(settlement_no: str) -> str:
    """Return the number under which a settlement asks for a deposit's refund, 64 characters at most: pure."""
    return f"discharge-{sm3(settlement_no.encode()).hex()[:32]}"


async def _note(connection: Connection, row: Row[Any], **values: object) -> None:
    await connection.execute(
        update(admission)
        .where(admission.c.institution_id == row.institution_id, admission.c.admission_no == row.admission_no)
        .values(**values)
    )


async def _note_deposit(connection: Connection, row: Row[Any], **values: object) -> None:
    await connection.execute(
        update(bill).where(bill.c.institution_id == row.institution_id, bill.c.bill_no == row.bill_no).values(**values)
    )
