"""Settling: the one function by which a channel's word about a payment reaches our books.

Notices and queries come through here alike, so both end in the same state and the same ledger. Everything the channel
says is checked against what we recorded before we called it; words that do not fit change nothing and raise an alarm.
State, ledger, history and outbox are one transaction. n deliveries in any order and at once are the same as one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import PLATFORM
from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit.db import Connection, Database
from yimatong.payments import history, ledger, news
from yimatong.payments.alarms import raise_alarm
from yimatong.payments.channels.base import ChannelAccount, ChannelPayment, ChannelRefund, Notice, PaymentStatus
from yimatong.payments.errors import OrderNotFound, PaymentMismatch
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import attempt, notice, order
from yimatong.payments.numbers import order_of
from yimatong.payments.refunds import service as refunds
from yimatong.payments.states import ATTEMPT_OPEN, ORDER_UNPAID, AttemptState, OrderState

_PAID = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED})
_FINAL = frozenset({PaymentStatus.CLOSED, PaymentStatus.FAILED, PaymentStatus.ABSENT})


async def settle(
    db: Database, account: ChannelAccount, found: ChannelPayment | ChannelRefund, *, cause: str, now: datetime
) -> None:
    """Apply what a query (or the answer to a refund) says, in its own transaction.

    Raises:
        PaymentMismatch: it does not fit our books; nothing was applied, an alarm was raised.
    """

    async def work(connection: Connection) -> None:
        await _apply(connection, account, found, cause=cause, now=now)

    await _guarded(db, account, _number(found), work, now=now)


async def settle_notice(db: Database, account: ChannelAccount, told: Notice, *, now: datetime) -> None:
    """Apply a verified notice once, in one transaction with the record that it was applied; errors as ``settle``."""
    found = told.payment or told.refund
    if found is None:
        raise PaymentMismatch(field="notice")

    async def work(connection: Connection) -> None:
        if await _is_new(connection, account, told, _number(found), now=now):
            await _apply(connection, account, found, cause="notice", now=now)

    await _guarded(db, account, _number(found), work, now=now)


async def _guarded(
    db: Database,
    account: ChannelAccount,
    number: str,
    work: Callable[[Connection], Awaitable[None]],
    *,
    now: datetime,
) -> None:
    try:
        async with db.transaction() as connection:
            await work(connection)
    except PaymentMismatch as error:
        detail = str(error.facts["field"])
        PaymentsLog.MISMATCH.emit(account_id=account.account_id, number=number, field=detail, cause=error.audit)
        async with db.transaction() as connection:
            await raise_alarm(
                connection,
                kind="mismatch",
                account_id=account.account_id,
                number=number,
                detail=f"{detail}: {error.audit}",
                now=now,
            )
        raise


async def _is_new(connection: Connection, account: ChannelAccount, told: Notice, number: str, *, now: datetime) -> bool:
    digest = sm3(msgspec.json.encode(told))
    key = {"channel": account.channel, "account_id": account.account_id, "notice_id": told.notice_id}
    taken = await connection.execute(
        insert(notice)
        .values(**key, digest=digest, number=number, at=now)
        .on_conflict_do_nothing()
        .returning(notice.c.notice_id)
    )
    if taken.first() is not None:
        return True
    before = await connection.execute(
        select(notice.c.digest).where(*(notice.c[name] == value for name, value in key.items()))
    )
    if before.scalar_one() != digest:
        raise PaymentMismatch(field="notice_id", audit=told.notice_id)
    return False


async def _apply(
    connection: Connection,
    account: ChannelAccount,
    found: ChannelPayment | ChannelRefund,
    *,
    cause: str,
    now: datetime,
) -> None:
    if isinstance(found, ChannelRefund):
        await refunds.apply(connection, account, found, cause=cause, now=now)
    else:
        await apply(connection, account, found, cause=cause, now=now)


async def apply(
    connection: Connection, account: ChannelAccount, found: ChannelPayment, *, cause: str, now: datetime
) -> None:
    """Apply a payment's word in the open transaction; errors as ``settle``."""
    try:
        held = await history.lock_order(connection, order_of(found.attempt_no), scope=PLATFORM)
    except OrderNotFound as error:
        raise PaymentMismatch(field="attempt_no", audit=found.attempt_no) from error
    tried = (
        await connection.execute(
            select(attempt).where(attempt.c.order_no == held.order_no, attempt.c.attempt_no == found.attempt_no)
        )
    ).first()
    if tried is None:
        raise PaymentMismatch(field="attempt_no", audit=found.attempt_no)
    check(account, found, tried)
    if found.status in _PAID:
        if tried.state != AttemptState.SUCCEEDED:
            await _paid(connection, held, tried, found, cause=cause, now=now)
    elif found.status in _FINAL:
        if tried.state in ATTEMPT_OPEN:
            await fail(connection, held, tried, cause=f"{cause}:{found.status}", now=now)
    elif tried.state == AttemptState.UNKNOWN:
        await history.move_attempt(connection, tried, AttemptState.STARTED, cause=cause, now=now)


def check(account: ChannelAccount, found: ChannelPayment, tried: Row[Any]) -> None:
    """Compare every field of a channel's word with our own books.

    Raises:
        PaymentMismatch: the first field that differs.
    """
    pairs: list[tuple[str, object, object]] = [
        ("account", account.account_id, tried.account_id),
        ("merchant", found.merchant_id, account.merchant_id),
    ]
    if found.status in _PAID:
        pairs += [
            ("app", found.app_id, account.app_id),
            ("currency", found.currency, "CNY"),
            ("amount", found.amount_fen, tried.amount_fen),
        ]
        if tried.channel_trade_no:
            pairs.append(("trade_no", found.channel_trade_no, tried.channel_trade_no))
    for field, theirs, ours in pairs:
        if theirs != ours:
            raise PaymentMismatch(field=field, audit=f"{theirs} is not {ours}")


async def fail(connection: Connection, held: Row[Any], tried: Row[Any], *, cause: str, now: datetime) -> None:
    """End an attempt that the channel says was not and cannot be paid; the order is payable again."""
    await history.move_attempt(connection, tried, AttemptState.FAILED, cause=cause, now=now, next_ask_at=None)
    if held.state == OrderState.PAYING and not await open_attempts(connection, held.order_no):
        await history.move_order(connection, held, OrderState.CREATED, cause=cause, now=now)


async def open_attempts(connection: Connection, order_no: str) -> list[str]:
    """Return the numbers of an order's attempts whose end is not known."""
    rows = await connection.execute(
        select(attempt.c.attempt_no)
        .where(attempt.c.order_no == order_no, attempt.c.state.in_(ATTEMPT_OPEN))
        .order_by(attempt.c.attempt_no)
    )
    return list(rows.scalars())


async def _paid(
    connection: Connection, held: Row[Any], tried: Row[Any], found: ChannelPayment, *, cause: str, now: datetime
) -> None:
    late = held.state not in ORDER_UNPAID
    await history.move_attempt(
        connection,
        tried,
        AttemptState.SUCCEEDED,
        cause=cause,
        now=now,
        landed="suspense" if late else "order",
        channel_trade_no=found.channel_trade_no,
        paid_at=found.paid_at or now,
        next_ask_at=None,
    )
    await ledger.post(
        connection,
        held.order_no,
        ledger.payment_arrived(
            attempt_no=tried.attempt_no,
            channel=tried.channel,
            institution_id=held.institution_id,
            amount_fen=tried.amount_fen,
            late=late,
        ),
        now=now,
    )
    if late:
        await _late(connection, held, tried, now=now)
        return
    if held.state == OrderState.CREATED:
        held = await history.move_order(connection, held, OrderState.PAYING, cause=cause, now=now)
    after = await history.move_order(
        connection,
        held,
        OrderState.PAID,
        cause=cause,
        now=now,
        paid_fen=tried.amount_fen,
        paid_attempt_no=tried.attempt_no,
        paid_channel=tried.channel,
        channel_trade_no=found.channel_trade_no,
        paid_at=found.paid_at or now,
    )
    await _ask_the_others_soon(connection, held.order_no, now=now)
    await news.tell(connection, news.ORDER_PAID, after, now=now, more={"attempt_no": tried.attempt_no})


async def _late(connection: Connection, held: Row[Any], tried: Row[Any], *, now: datetime) -> None:
    """Money for an order that is paid or closed: it stays in suspense and goes back to its payer, in sight."""
    PaymentsLog.LATE_MONEY.emit(order_no=held.order_no, attempt_no=tried.attempt_no, amount_fen=tried.amount_fen)
    await connection.execute(
        update(order)
        .where(order.c.order_no == held.order_no)
        .values(late_fen=held.late_fen + tried.amount_fen, version=held.version + 1, updated_at=now)
    )
    await refunds.return_late(connection, held, tried, now=now)


async def _ask_the_others_soon(connection: Connection, order_no: str, *, now: datetime) -> None:
    """Let the worker close what else is open at the channels, before somebody pays twice."""
    await connection.execute(
        update(attempt).where(attempt.c.order_no == order_no, attempt.c.state.in_(ATTEMPT_OPEN)).values(next_ask_at=now)
    )


def _number(found: ChannelPayment | ChannelRefund) -> str:
    return found.refund_no if isinstance(found, ChannelRefund) else found.attempt_no
