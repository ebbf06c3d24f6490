"""The verbs of refunds. The order's row lock makes every refund of one order wait for the one before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, update

from yimatong.access.caller import PLATFORM, Caller
from yimatong.kit.db import Connection
from yimatong.payments import history, ledger, news
from yimatong.payments.alarms import raise_alarm
from yimatong.payments.channels.base import ChannelAccount, ChannelRefund, RefundStatus
from yimatong.payments.errors import (
    OrderNotFound,
    OrderNotRefundable,
    PaymentMismatch,
    RefundExceedsPaid,
    RefundNumberReused,
    RefundsExhausted,
)
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import order, refund
from yimatong.payments.numbers import REFUNDS_MAX, order_of, refund_no
from yimatong.payments.refunds import queries
from yimatong.payments.refunds.schemas import NewRefund, RefundView
from yimatong.payments.states import ORDER_REFUNDABLE, OrderState, RefundState

_SETTLED = {
    RefundStatus.PROCESSING: RefundState.PROCESSING,
    RefundStatus.SUCCEEDED: RefundState.SUCCEEDED,
    RefundStatus.ABNORMAL: RefundState.ABNORMAL,
    RefundStatus.CLOSED: RefundState.CLOSED,
}


async def ask(connection: Connection, new: NewRefund, *, caller: Caller, now: datetime) -> RefundView:
    """Record that an institution wants money returned; the worker takes it to the channel after the commit.

    Raises:
        OrderNotFound, OrderNotRefundable, RefundExceedsPaid, RefundNumberReused, RefundsExhausted.
    """
    held = await history.lock_order(connection, new.order_no, scope=caller.scope)
    before = await queries.by_request(connection, new.order_no, new.request_no)
    if before is not None:
        if (before.amount_fen, before.reason) != (new.amount_fen, new.reason):
            raise RefundNumberReused(request_no=new.request_no)
        return queries.view(before)
    if held.state not in ORDER_REFUNDABLE:
        raise OrderNotRefundable(state=held.state)
    refundable_fen = held.paid_fen - held.refund_reserved_fen
    if new.amount_fen > refundable_fen:
        raise RefundExceedsPaid(refundable_fen=refundable_fen)
    await connection.execute(
        update(order)
        .where(order.c.order_no == held.order_no, order.c.version == held.version)
        .values(refund_reserved_fen=held.refund_reserved_fen + new.amount_fen, version=held.version + 1, updated_at=now)
    )
    row = await _open(
        connection,
        held,
        attempt_no=held.paid_attempt_no,
        account_id=await queries.paid_account(connection, held.order_no, held.paid_attempt_no),
        kind="asked",
        request_no=new.request_no,
        amount_fen=new.amount_fen,
        reason=new.reason,
        requested_by=caller.caller_id,
        now=now,
    )
    return queries.view(row)


async def return_late(connection: Connection, held: Row[Any], tried: Row[Any], *, now: datetime) -> None:
    """Send late money back the way it came; the order is locked by the caller."""
    await _open(
        connection,
        held,
        attempt_no=tried.attempt_no,
        account_id=tried.account_id,
        kind="late",
        request_no=f"late:{tried.attempt_no}",
        amount_fen=tried.amount_fen,
        reason="订单已支付或已关闭，原路退回",
        requested_by="platform",
        now=now,
    )


async def _open(
    connection: Connection,
    held: Row[Any],
    *,
    attempt_no: str,
    account_id: str,
    kind: str,
    request_no: str,
    amount_fen: int,
    reason: str,
    requested_by: str,
    now: datetime,
) -> Row[Any]:
    sequence = await queries.next_sequence(connection, held.order_no)
    if sequence > REFUNDS_MAX and kind == "asked":
        raise RefundsExhausted
    number = refund_no(held.order_no, sequence)
    made = await connection.execute(
        insert(refund)
        .values(
            order_no=held.order_no,
            refund_no=number,
            attempt_no=attempt_no,
            account_id=account_id,
            kind=kind,
            request_no=request_no,
            amount_fen=amount_fen,
            reason=reason,
            state=RefundState.REQUESTED,
            requested_by=requested_by,
            created_at=now,
            updated_at=now,
            next_ask_at=now,
        )
        .returning(refund)
    )
    await history.tell(
        connection,
        held.order_no,
        kind="refund",
        number=number,
        new=RefundState.REQUESTED,
        cause=f"{kind}:{requested_by}",
        now=now,
    )
    posting = ledger.refund_asked(
        refund_no=number, institution_id=held.institution_id, amount_fen=amount_fen, late=kind == "late"
    )
    await ledger.post(connection, held.order_no, posting, now=now)
    row: Row[Any] = made.one()
    return row


async def apply(
    connection: Connection, account: ChannelAccount, found: ChannelRefund, *, cause: str, now: datetime
) -> None:
    """Apply a channel's word about a refund in the open transaction.

    Raises:
        PaymentMismatch: it does not fit our books.
    """
    try:
        held = await history.lock_order(connection, order_of(found.refund_no), scope=PLATFORM)
    except OrderNotFound as error:
        raise PaymentMismatch(field="refund_no", audit=found.refund_no) from error
    row = await queries.of_locked_order(connection, held.order_no, found.refund_no)
    if row is None:
        raise PaymentMismatch(field="refund_no", audit=found.refund_no)
    check(account, found, row)
    new = _SETTLED.get(found.status)
    if new is None or new == row.state or _stale(row.state, new):
        return
    if row.state in (RefundState.CLOSED, RefundState.SUCCEEDED):
        raise PaymentMismatch(field="refund_status", audit=f"{found.status} after {row.state}")
    values = _values(row, found, new, now=now)
    await history.move_refund(connection, row, new, cause=cause, now=now, **values)
    if new is RefundState.SUCCEEDED:
        await _arrived(connection, held, row, account, now=now)
    elif new is RefundState.CLOSED:
        await drop(connection, held, row, now=now)
    elif new is RefundState.ABNORMAL:
        await _stuck(connection, row, detail=cause, now=now)


def check(account: ChannelAccount, found: ChannelRefund, row: Row[Any]) -> None:
    """Compare a channel's word about a refund with our own books.

    Raises:
        PaymentMismatch: the first field that differs.
    """
    pairs: list[tuple[str, object, object]] = [
        ("account", account.account_id, row.account_id),
        ("merchant", found.merchant_id, account.merchant_id),
    ]
    if found.status is not RefundStatus.ABSENT:
        pairs += [("attempt_no", found.attempt_no, row.attempt_no), ("amount", found.refund_fen, row.amount_fen)]
    for field, theirs, ours in pairs:
        if theirs != ours:
            raise PaymentMismatch(field=field, audit=f"{theirs} is not {ours}")


def _values(row: Row[Any], found: ChannelRefund, new: RefundState, *, now: datetime) -> dict[str, object]:
    values: dict[str, object] = {
        "channel_refund_no": found.channel_refund_no or row.channel_refund_no,
        "accepted_at": row.accepted_at or now,
    }
    if new is not RefundState.PROCESSING:
        values["next_ask_at"] = None
    if new is RefundState.SUCCEEDED:
        values["succeeded_at"] = found.succeeded_at or now
    return values


def _stale(old: str, new: RefundState) -> bool:
    """Say whether the word is older than what we know: notices may overtake each other."""
    if new is RefundState.PROCESSING:
        return old in (RefundState.SUCCEEDED, RefundState.ABNORMAL, RefundState.CLOSED)
    return new is RefundState.ABNORMAL and old == RefundState.SUCCEEDED


async def _arrived(
    connection: Connection, held: Row[Any], row: Row[Any], account: ChannelAccount, *, now: datetime
) -> None:
    posting = ledger.refund_arrived(
        refund_no=row.refund_no,
        channel=account.channel,
        institution_id=held.institution_id,
        amount_fen=row.amount_fen,
    )
    await ledger.post(connection, held.order_no, posting, now=now)
    if row.kind == "late":
        return
    refunded_fen = held.refunded_fen + row.amount_fen
    whole = refunded_fen == held.paid_fen
    after = await history.move_order(
        connection,
        held,
        OrderState.REFUNDED if whole else OrderState.PARTLY_REFUNDED,
        cause=f"refund:{row.refund_no}",
        now=now,
        refunded_fen=refunded_fen,
    )
    more = {"refund_no": row.refund_no, "request_no": row.request_no, "refund_fen": row.amount_fen}
    await news.tell(connection, news.REFUND_SUCCEEDED, after, now=now, more=more)


async def drop(connection: Connection, held: Row[Any], row: Row[Any], *, now: datetime) -> None:
    """Put the money of a refund that the channel declined for good back to where it was booked."""
    late = row.kind == "late"
    posting = ledger.refund_dropped(
        refund_no=row.refund_no, institution_id=held.institution_id, amount_fen=row.amount_fen, late=late
    )
    await ledger.post(connection, held.order_no, posting, now=now)
    if late:
        await _stuck(connection, row, detail="late money could not be returned", now=now)
        return
    await connection.execute(
        update(order)
        .where(order.c.order_no == held.order_no, order.c.version == held.version)
        .values(refund_reserved_fen=held.refund_reserved_fen - row.amount_fen, version=held.version + 1, updated_at=now)
    )


async def _stuck(connection: Connection, row: Row[Any], *, detail: str, now: datetime) -> None:
    PaymentsLog.REFUND_STUCK.emit(refund_no=row.refund_no, amount_fen=row.amount_fen, kind=row.kind)
    await raise_alarm(
        connection, kind="refund", account_id=row.account_id, number=row.refund_no, detail=detail, now=now
    )
