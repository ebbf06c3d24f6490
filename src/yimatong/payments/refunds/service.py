"""The verbs of refunds. The order's row lock makes every refund of one order wait for the one before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, update

from yimatong.access.caller import PLATFORM, Caller
from yimatong.kit.db import Connection
from yimatong.payments import history, ledger, news, sources
from yimatong.payments.alarms import raise_alarm
from yimatong.payments.channels.base import ChannelAccount, ChannelRefund, RefundStatus
from yimatong.payments.errors import (
    OrderNotFound,
    OrderNotRefundable,
    PaymentMismatch,
    RefundNumberReused,
    RefundsExhausted,
)
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import order, refund, refund_item
from yimatong.payments.numbers import REFUNDS_MAX, order_of, refund_no
from yimatong.payments.refunds import queries, sharing
from yimatong.payments.refunds.schemas import NewRefund, RefundView
from yimatong.payments.states import ORDER_REFUNDABLE, OrderState, RefundState

_SETTLED = {
    RefundStatus.PROCESSING: RefundState.PROCESSING,
    RefundStatus.SUCCEEDED: RefundState.SUCCEEDED,
    RefundStatus.ABNORMAL: RefundState.ABNORMAL,
    RefundStatus.CLOSED: RefundState.CLOSED,
}


async def ask(connection: Connection, new: NewRefund, *, caller: Caller, now: datetime) -> RefundView:
    """Record that an institution wants money returned; the worker takes it to the channels after the commit.

    Raises:
        OrderNotFound, OrderNotRefundable, RefundNumberReused, RefundsExhausted, and those of ``sharing``.
    """
    held = await history.lock_order(connection, new.order_no, scope=caller.scope)
    before = await queries.by_request(connection, new.order_no, new.request_no)
    if before:
        if (sum(row.amount_fen for row in before), before[0].reason) != (new.amount_fen, new.reason):
            raise RefundNumberReused(request_no=new.request_no)
        return queries.view(before[0], together=before)
    if held.state not in ORDER_REFUNDABLE:
        raise OrderNotRefundable(state=held.state)
    lines = [int(item["amount_fen"]) for item in held.items]
    gone = await queries.items_gone(connection, held.order_no) if new.items else {}
    sharing.check_items(new.amount_fen, new.items, lines, gone, needed=held.source_kind == sources.SEVERAL)
    came = await queries.came(connection, held)
    shares = sharing.share(new, came, await queries.earlier(connection, held))
    await connection.execute(
        update(order)
        .where(order.c.order_no == held.order_no, order.c.version == held.version)
        .values(refund_reserved_fen=held.refund_reserved_fen + new.amount_fen, version=held.version + 1, updated_at=now)
    )
    made = [
        await _open(
            connection,
            held,
            share,
            came[share.part],
            kind="asked",
            request_no=new.request_no,
            reason=new.reason,
            requested_by=caller.caller_id,
            now=now,
        )
        for share in shares
    ]
    await _note_items(connection, made[0], new)
    return queries.view(made[0], together=made)


async def _note_items(connection: Connection, row: Row[Any], new: NewRefund) -> None:
    """Keep which lines a request is for, with the first of its refunds."""
    fens: dict[int, int] = {}
    for item in new.items:
        fens[item.line] = fens.get(item.line, 0) + item.amount_fen
    if fens:
        key = {"order_no": row.order_no, "refund_no": row.refund_no}
        await connection.execute(
            insert(refund_item), [{**key, "line": line, "amount_fen": fen} for line, fen in sorted(fens.items())]
        )


async def return_late(connection: Connection, held: Row[Any], tried: Row[Any], *, now: datetime) -> None:
    """Send late money back the way it came; the order is locked by the caller."""
    for share, came in await queries.came_by(connection, tried):
        await _open(
            connection,
            held,
            share,
            came,
            kind="late",
            request_no=f"late:{tried.attempt_no}",
            reason="订单已支付或已关闭，原路退回",
            requested_by="platform",
            now=now,
        )


async def reverse_parts(connection: Connection, held: Row[Any], *, now: datetime) -> bool:
    """Send back what landed on an order that is being closed; return True when nothing of it is left there.

    From the first of them on the order takes no money any more. The order is locked by the caller.
    """
    done = True
    for tried in await queries.landed(connection, held.order_no):
        request_no = f"reversal:{tried.attempt_no}"
        before = await queries.by_request(connection, held.order_no, request_no)
        done = done and bool(before) and all(row.state == RefundState.SUCCEEDED for row in before)
        if before:
            continue
        for share, came in await queries.came_by(connection, tried):
            await _open(
                connection,
                held,
                share,
                came,
                kind="reversal",
                request_no=request_no,
                reason="订单关闭，撤销已结算部分",
                requested_by="platform",
                now=now,
            )
        await connection.execute(update(order).where(order.c.order_no == held.order_no).values(reversing=True))
    return done


async def _open(
    connection: Connection,
    held: Row[Any],
    share: sharing.Share,
    came: sharing.Came,
    *,
    kind: str,
    request_no: str,
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
            attempt_no=came.attempt_no,
            account_id=came.account_id,
            kind=kind,
            part=share.part,
            components=dict(share.components),
            request_no=request_no,
            amount_fen=share.amount_fen,
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
        refund_no=number,
        institution_id=held.institution_id,
        amount_fen=share.amount_fen,
        late=kind == "late",
        source_kind=held.source_kind,
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
    if row.kind == "reversal":
        await connection.execute(update(order).where(order.c.order_no == held.order_no).values(close_at=now))
    if row.kind != "asked":
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
        refund_no=row.refund_no,
        institution_id=held.institution_id,
        amount_fen=row.amount_fen,
        late=late,
        source_kind=held.source_kind,
    )
    await ledger.post(connection, held.order_no, posting, now=now)
    if row.kind != "asked":
        await _stuck(connection, row, detail=f"{row.kind}: the money could not be returned", now=now)
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
