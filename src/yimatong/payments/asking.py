"""Asking the channels: how an attempt stands, how a refund stands, and the close protocol.

Nothing here decides by the clock. A channel that is silent is asked again after a growing pause; only its answer ends
an attempt. *Absent* is an answer once the request cannot be on its way any more (``IN_FLIGHT_S`` after it was sent).
No transaction is open while a channel is called.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, Select, Update, select, update

from yimatong.access.caller import PLATFORM
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable, PlatformError
from yimatong.payments import accounts, history, news, settlement
from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    PaymentStatus,
    RefundRequest,
    RefundStatus,
)
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelAlreadyPaid, ChannelBusy, ChannelRefused, OrderNotClosable, PaymentMismatch
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import attempt, order, refund
from yimatong.payments.numbers import order_of
from yimatong.payments.refunds import service as refunds
from yimatong.payments.states import (
    ATTEMPT_OPEN,
    ORDER_PAYABLE,
    REFUND_OPEN,
    OrderState,
    RefundState,
)

PAUSES_S: Final = (5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Pauses between questions, in seconds; the last one repeats."""

IN_FLIGHT_S: Final = 60
"""Longer than any request of ours can be under way (connect and read time-outs together are 13 s)."""

SILENT = (PartyUnreachable, PartyOutcomeUnknown, ChannelBusy)


def pause(asks: int) -> timedelta:
    """Return how long to wait after question number ``asks`` (from 1)."""
    return timedelta(seconds=PAUSES_S[min(max(asks, 1), len(PAUSES_S)) - 1])


async def ask_attempt(desk: Desk, attempt_no: str, *, now: datetime) -> None:
    """Ask the channel how an attempt stands and settle what it says; an attempt that has ended is left alone.

    Where the order no longer waits for money (paid by another attempt, closed) the attempt is closed at the channel.
    """
    tried, held, account = await _attempt(desk, attempt_no)
    if tried.state not in ATTEMPT_OPEN:
        return
    if held.state not in ORDER_PAYABLE:
        await _close_attempt(desk, tried, account, now=now)
    else:
        await _query(desk, tried, account, now=now)
    async with desk.db.transaction() as connection:
        await connection.execute(
            update(attempt)
            .where(attempt.c.order_no == tried.order_no, attempt.c.attempt_no == attempt_no)
            .where(attempt.c.state.in_(ATTEMPT_OPEN))
            .values(next_ask_at=now + pause(tried.asks))
        )


async def close_order(desk: Desk, order_no: str, *, now: datetime) -> str:
    """Run the close protocol (query, channel close, query, closed) and return the order's state after it.

    Where a channel is silent the order stays ``closing`` and the worker goes on; where it was paid first it is paid.

    Raises:
        OrderNotFound: no such order. OrderNotClosable: it was paid before.
    """
    async with desk.db.transaction() as connection:
        held = await history.lock_order(connection, order_no, scope=PLATFORM)
        if held.state in ORDER_PAYABLE:
            held = await history.move_order(
                connection, held, OrderState.CLOSING, cause="close", now=now, close_at=now + pause(1)
            )
        elif held.state == OrderState.CLOSED:
            return OrderState.CLOSED
        elif held.state != OrderState.CLOSING:
            raise OrderNotClosable(state=held.state)
        waiting = await settlement.open_attempts(connection, order_no)
    for attempt_no in waiting:
        tried, _, account = await _attempt(desk, attempt_no)
        if tried.state in ATTEMPT_OPEN:
            await _close_attempt(desk, tried, account, now=now)
    return await _closed(desk, order_no, now=now)


async def ask_refund(desk: Desk, refund_no: str, *, now: datetime) -> None:
    """Take a refund to the channel, or ask how it stands, and apply the answer.

    The same number is sent again only after the channel said that it does not know it, or nothing was ever sent; the
    channels move money once for one number all the same.
    """
    async with desk.db.transaction() as connection:
        await history.lock_order(connection, order_of(refund_no), scope=PLATFORM)
        row = (await connection.execute(_refund_where(refund_no))).one()
        if row.state not in REFUND_OPEN:
            return
        account = await accounts.by_id(connection, desk.vault, row.account_id)
        await connection.execute(_refund_set(refund_no).values(sends=1, updated_at=now))
    send = row.sends == 0
    try:
        if not send:
            send = await _ask_how_refund_stands(desk, account, refund_no, now=now)
        if send:
            await _send_refund(desk, account, row, now=now)
    except PaymentMismatch:
        pass  # the alarm is raised; a person acts, and the channel is asked again until then
    except SILENT as error:
        await _refund_silent(desk, refund_no, error, now=now)
    async with desk.db.transaction() as connection:
        later = _refund_set(refund_no).where(refund.c.state.in_(REFUND_OPEN))
        await connection.execute(later.values(next_ask_at=now + pause(row.asks)))


async def _attempt(desk: Desk, attempt_no: str) -> tuple[Row[Any], Row[Any], ChannelAccount]:
    order_no = order_of(attempt_no)
    async with desk.db.read() as connection:
        tried = (
            await connection.execute(
                select(attempt).where(attempt.c.order_no == order_no, attempt.c.attempt_no == attempt_no)
            )
        ).one()
        held = (await connection.execute(select(order).where(order.c.order_no == order_no))).one()
        account = await accounts.by_id(connection, desk.vault, tried.account_id)
    return tried, held, account


async def _query(desk: Desk, tried: Row[Any], account: ChannelAccount, *, now: datetime) -> PaymentStatus | None:
    """Ask and settle; return what the channel said, None when it said nothing that can be used."""
    try:
        found = await desk.channel(account.channel).query(account, tried.attempt_no, now=now)
    except (*SILENT, ChannelRefused) as error:
        PaymentsLog.CHANNEL_SILENT.emit(number=tried.attempt_no, cause=error.code, detail=f"{error} {error.audit}")
        return None
    if found.status is PaymentStatus.ABSENT and now < tried.sent_at + timedelta(seconds=IN_FLIGHT_S):
        return None
    return await _settled(desk, account, found, now=now)


async def _settled(
    desk: Desk, account: ChannelAccount, found: ChannelPayment, *, now: datetime
) -> PaymentStatus | None:
    try:
        await settlement.settle(desk.db, account, found, cause="query", now=now)
    except PaymentMismatch:
        return None
    return found.status


async def _close_attempt(desk: Desk, tried: Row[Any], account: ChannelAccount, *, now: datetime) -> None:
    """Query, close, query: after it the attempt has ended, or it stays open and is asked again."""
    said = await _query(desk, tried, account, now=now)
    if said is not PaymentStatus.PENDING:
        return
    try:
        await desk.channel(account.channel).close(account, tried.attempt_no, now=now)
    except ChannelAlreadyPaid:
        pass  # the second query brings the payment
    except (*SILENT, ChannelRefused) as error:
        PaymentsLog.CHANNEL_SILENT.emit(number=tried.attempt_no, cause=error.code, detail=f"{error} {error.audit}")
        return
    await _query(desk, tried, account, now=now)


async def _closed(desk: Desk, order_no: str, *, now: datetime) -> str:
    async with desk.db.transaction() as connection:
        held = await history.lock_order(connection, order_no, scope=PLATFORM)
        if held.state != OrderState.CLOSING or await settlement.open_attempts(connection, order_no):
            return str(held.state)
        after = await history.move_order(connection, held, OrderState.CLOSED, cause="close", now=now, closed_at=now)
        await news.tell(connection, news.ORDER_CLOSED, after, now=now)
        return str(after.state)


def _refund_where(refund_no: str) -> Select[Any]:
    return select(refund).where(refund.c.order_no == order_of(refund_no), refund.c.refund_no == refund_no)


def _refund_set(refund_no: str) -> Update:
    return update(refund).where(refund.c.order_no == order_of(refund_no), refund.c.refund_no == refund_no)


async def _ask_how_refund_stands(desk: Desk, account: ChannelAccount, refund_no: str, *, now: datetime) -> bool:
    """Ask and settle; return True when the channel does not know the number, so that it must be sent."""
    try:
        found = await desk.channel(account.channel).query_refund(account, refund_no, now=now)
    except ChannelRefused as error:
        PaymentsLog.CHANNEL_SILENT.emit(number=refund_no, cause=error.code, detail=str(error))
        return False
    if found.status is RefundStatus.ABSENT:
        return True
    await settlement.settle(desk.db, account, found, cause="query", now=now)
    return False


async def _send_refund(desk: Desk, account: ChannelAccount, row: Row[Any], *, now: datetime) -> None:
    async with desk.db.read() as connection:
        paid = await connection.execute(
            select(attempt.c.amount_fen).where(
                attempt.c.order_no == row.order_no, attempt.c.attempt_no == row.attempt_no
            )
        )
    request = RefundRequest(
        refund_no=row.refund_no,
        attempt_no=row.attempt_no,
        refund_fen=row.amount_fen,
        paid_fen=paid.scalar_one(),
        reason=row.reason,
        notify_url=desk.notify_url(account),
    )
    try:
        found = await desk.channel(account.channel).refund(account, request, now=now)
    except ChannelRefused as error:
        await _refund_refused(desk, row.order_no, row.refund_no, error, now=now)
        return
    await settlement.settle(desk.db, account, found, cause="query", now=now)


async def _refund_silent(desk: Desk, refund_no: str, error: PlatformError, *, now: datetime) -> None:
    PaymentsLog.CHANNEL_SILENT.emit(number=refund_no, cause=error.code, detail=error.audit)
    if not isinstance(error, PartyOutcomeUnknown):
        return
    async with desk.db.transaction() as connection:
        await history.lock_order(connection, order_of(refund_no), scope=PLATFORM)
        row = (await connection.execute(_refund_where(refund_no))).one()
        if row.state in (RefundState.REQUESTED, RefundState.PROCESSING):
            await history.move_refund(connection, row, RefundState.UNKNOWN, cause=error.code, now=now)


async def _refund_refused(desk: Desk, order_no: str, refund_no: str, error: ChannelRefused, *, now: datetime) -> None:
    """The channel declined for good: the refund is closed and its money is where it was."""
    async with desk.db.transaction() as connection:
        held = await history.lock_order(connection, order_no, scope=PLATFORM)
        row = (await connection.execute(_refund_where(refund_no))).one()
        if row.state not in REFUND_OPEN:
            return
        cause = f"channel:{error.facts.get('channel_code', '')}"
        await history.move_refund(connection, row, RefundState.CLOSED, cause=cause, now=now, next_ask_at=None)
        await refunds.drop(connection, held, row, now=now)
