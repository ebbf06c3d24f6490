"""Asking the channels: how an attempt stands, how a refund stands, and the close protocol.

Nothing here decides by the clock. A channel that is silent is asked again after a growing pause; only its answer ends
an attempt. *Absent* is an answer once the request cannot be on its way any more (``IN_FLIGHT_S`` after it was sent).
No transaction is open while a channel is called.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, select, update

from yimatong.access.caller import PLATFORM
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments import accounts, history, news, parts, placed, settlement
from yimatong.payments.channels.base import ChannelAccount, Part, PaymentStatus, PlacedPayment, Scene
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelAlreadyPaid, ChannelBusy, ChannelRefused, OrderNotClosable, PaymentMismatch
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import attempt, order
from yimatong.payments.numbers import order_of
from yimatong.payments.refunds import service as refunds
from yimatong.payments.states import ATTEMPT_OPEN, ORDER_PAYABLE, OrderState

PAUSES_S: Final = (5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Pauses between questions, in seconds; the last one repeats."""

IN_FLIGHT_S: Final = 60
"""Longer than any request of ours can be under way (connect and read time-outs together are 13 s)."""

SILENT = (PartyUnreachable, PartyOutcomeUnknown, ChannelBusy)


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt with its order, the account it went to, and what its channel is told of it."""

    row: Row[Any]
    held: Row[Any]
    account: ChannelAccount
    placed: PlacedPayment


def pause(asks: int) -> timedelta:
    """Return how long to wait after question number ``asks`` (from 1)."""
    return timedelta(seconds=PAUSES_S[min(max(asks, 1), len(PAUSES_S)) - 1])


async def ask_attempt(desk: Desk, attempt_no: str, *, now: datetime) -> None:
    """Ask the channel how an attempt stands and settle what it says; an attempt that has ended is left alone.

    Where the order no longer waits for money (paid by another attempt, closed), or the attempt's own time is over, it
    is closed at the channel.
    """
    tried = await _attempt(desk, attempt_no)
    if tried.row.state not in ATTEMPT_OPEN:
        return
    if tried.held.state not in ORDER_PAYABLE or tried.row.expires_at <= now:
        await _close_attempt(desk, tried, now=now)
    else:
        await _query(desk, tried, now=now)
    async with desk.db.transaction() as connection:
        await connection.execute(
            update(attempt)
            .where(attempt.c.order_no == tried.row.order_no, attempt.c.attempt_no == attempt_no)
            .where(attempt.c.state.in_(ATTEMPT_OPEN))
            .values(next_ask_at=now + pause(tried.row.asks))
        )


async def close_order(desk: Desk, order_no: str, *, now: datetime) -> str:
    """Run the close protocol (query, channel close, query, closed) and return the order's state after it.

    Where a channel is silent the order stays ``closing`` and the worker goes on; where it was paid first it is paid.
    Insurance parts that were settled go back before it is closed.

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
        tried = await _attempt(desk, attempt_no)
        if tried.row.state in ATTEMPT_OPEN:
            await _close_attempt(desk, tried, now=now)
    return await _closed(desk, order_no, now=now)


async def close_attempt(desk: Desk, attempt_no: str, *, now: datetime) -> None:
    """Query, close, query one attempt: its payer chose another way. One that has ended is left alone."""
    tried = await _attempt(desk, attempt_no)
    if tried.row.state in ATTEMPT_OPEN:
        await _close_attempt(desk, tried, now=now)


async def ask_leg(desk: Desk, number: str, *, now: datetime) -> None:
    """Ask how an insurer's part stands that was named by the number of its pre-settlement."""
    async with desk.db.read() as connection:
        waiting = await connection.execute(
            select(attempt.c.attempt_no).where(
                attempt.c.order_no == order_of(number), attempt.c.state.in_(ATTEMPT_OPEN), attempt.c.part.in_(_INSURED)
            )
        )
        numbers = list(waiting.scalars())
    for attempt_no in numbers:
        await ask_attempt(desk, attempt_no, now=now)


async def confirm(desk: Desk, attempt_no: str, *, paid_at: datetime | None = None, now: datetime) -> None:
    """Ask how an attempt stands that a notice says was paid at ``paid_at``, and settle what the channel says.

    Nobody asks about an ended attempt again, so the notice is done with only when the answer decides: paid, or ended
    where the channel's queries have had ``settlement.READ_LAG_S`` to catch up with the payment that the notice tells
    of.

    Raises:
        PartyUnreachable, PartyOutcomeUnknown, ChannelBusy: it did not say, or nothing that decides; the notice has to
            come again. PaymentMismatch: it does not fit our books.
    """
    tried = await _attempt(desk, attempt_no)
    found = await desk.channel(tried.account.channel).query(tried.account, tried.placed, now=now)
    await settlement.settle(desk.db, tried.account, found, cause="query", now=now)
    paid = found.status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED)
    ended = found.status in (PaymentStatus.CLOSED, PaymentStatus.FAILED)
    lagging = paid_at is not None and now < paid_at + timedelta(seconds=settlement.READ_LAG_S)
    if not paid and (lagging or not ended):
        raise PartyOutcomeUnknown(party=tried.account.channel, audit=f"told as paid, asked: {found.status}")


async def _attempt(desk: Desk, attempt_no: str) -> Tried:
    order_no = order_of(attempt_no)
    async with desk.db.read() as connection:
        row = (
            await connection.execute(
                select(attempt).where(attempt.c.order_no == order_no, attempt.c.attempt_no == attempt_no)
            )
        ).one()
        held = (await connection.execute(select(order).where(order.c.order_no == order_no))).one()
        account = await accounts.by_id(connection, desk.vault, row.account_id)
        payment = await placed.payment(connection, desk.vault, row)
    return Tried(row=row, held=held, account=account, placed=payment)


async def _query(desk: Desk, tried: Tried, *, now: datetime) -> PaymentStatus | None:
    """Ask and settle; return what the channel said, None when it said nothing that can be used.

    An insurer's words that do not fit our books count as pending: its settlement has to be taken back.
    """
    try:
        found = await desk.channel(tried.account.channel).query(tried.account, tried.placed, now=now)
    except (*SILENT, ChannelRefused) as error:
        detail = f"{error} {error.audit}"
        PaymentsLog.CHANNEL_SILENT.emit(number=tried.row.attempt_no, cause=error.code, detail=detail)
        return None
    if found.status is PaymentStatus.ABSENT and now < tried.row.sent_at + timedelta(seconds=IN_FLIGHT_S):
        return None
    try:
        await settlement.settle(desk.db, tried.account, found, cause="query", now=now)
    except PartyOutcomeUnknown:
        return None
    except PaymentMismatch:
        return PaymentStatus.PENDING if tried.row.part in _INSURED else None
    return found.status


_INSURED: Final = frozenset({Part.INSURANCE, Part.COMMERCIAL})
_REVERSED: Final = frozenset({Scene.BARCODE, Scene.AGREEMENT})
"""What is decided without the payer: its close is a reversal, which gives back what was paid a moment before."""


async def _close_attempt(desk: Desk, tried: Tried, *, now: datetime) -> None:
    """Query, close, query: after it the attempt has ended, or it stays open and is asked again.

    A reversal is written down before it is sent: a notice that is under way would book what the reversal gives back.
    """
    said = await _query(desk, tried, now=now)
    if said is not PaymentStatus.PENDING:
        return
    reverses = tried.row.scene in _REVERSED or tried.row.part in _INSURED
    if reverses and not await _taking_back(desk, tried, at=now):
        return
    try:
        await desk.channel(tried.account.channel).close(tried.account, tried.placed, now=now)
    except ChannelAlreadyPaid:  # it stands, and the second query brings it
        if reverses:
            await _taking_back(desk, tried, at=None)
    except (*SILENT, ChannelRefused) as error:
        detail = f"{error} {error.audit}"
        PaymentsLog.CHANNEL_SILENT.emit(number=tried.row.attempt_no, cause=error.code, detail=detail)
        return
    await _query(desk, tried, now=now)


async def _taking_back(desk: Desk, tried: Tried, *, at: datetime | None) -> bool:
    """Note when the reversal of an attempt is about to be sent, or that none will be; False when it has ended."""
    async with desk.db.transaction() as connection:
        await history.lock_order(connection, tried.row.order_no, scope=PLATFORM)
        noted = await connection.execute(
            update(attempt)
            .where(attempt.c.order_no == tried.row.order_no, attempt.c.attempt_no == tried.row.attempt_no)
            .where(attempt.c.state.in_(ATTEMPT_OPEN))
            .values(taking_back_at=at)
            .returning(attempt.c.attempt_no)
        )
        return noted.first() is not None


async def _closed(desk: Desk, order_no: str, *, now: datetime) -> str:
    async with desk.db.transaction() as connection:
        held = await history.lock_order(connection, order_no, scope=PLATFORM)
        if held.state != OrderState.CLOSING or await settlement.open_attempts(connection, order_no):
            return str(held.state)
        if parts.shared(held) and not await refunds.reverse_parts(connection, held, now=now):
            return str(held.state)
        held = await history.lock_order(connection, order_no, scope=PLATFORM)
        after = await history.move_order(connection, held, OrderState.CLOSED, cause="close", now=now, closed_at=now)
        await news.tell(connection, news.ORDER_CLOSED, after, now=now)
        return str(after.state)
