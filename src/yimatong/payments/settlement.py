"""Settling: the one function by which a channel's word about a payment reaches our books.

Notices and queries come through here alike, so both end in the same state and the same ledger. Everything the channel
says is checked against what we recorded before we called it; words that do not fit change nothing and raise an alarm.
State, ledger, history and outbox are one transaction. n deliveries in any order and at once are the same as one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, text, update

from yimatong.access.caller import PLATFORM
from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit.db import Connection, Database
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.together import Piece, together
from yimatong.payments import history, ledger, news, parts
from yimatong.payments.alarms import raise_alarm
from yimatong.payments.channels.base import ChannelAccount, ChannelPayment, ChannelRefund, Notice, PaymentStatus
from yimatong.payments.errors import OrderNotFound, PaymentMismatch
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import order
from yimatong.payments.numbers import order_of
from yimatong.payments.refunds import service as refunds
from yimatong.payments.states import ATTEMPT_OPEN, AttemptState, OrderState

PAID: Final = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED})
"""What says that the money came, whatever became of it later."""
_FINAL = frozenset({PaymentStatus.CLOSED, PaymentStatus.FAILED, PaymentStatus.ABSENT})

READ_LAG_S: Final = 300
"""How long a channel's queries may show what was true before: of a payment or a reversal that is done already."""


class AskFirst(Exception):
    """A notice says that an attempt was paid which had ended unpaid or is being reversed: it is old, or money has come.

    A payment code that was reversed may have been paid a moment before, and given back by the reversal: its notice is
    genuine and the money is gone. So the channel is asked how it stands now, and its answer is what counts.
    """

    def __init__(self, attempt_no: str) -> None:
        """Name the attempt."""
        super().__init__(attempt_no)
        self.attempt_no = attempt_no


async def settle(
    db: Database, account: ChannelAccount, found: ChannelPayment | ChannelRefund, *, cause: str, now: datetime
) -> None:
    """Apply what a query (or the answer to a refund) says, in its own transaction.

    Raises:
        PaymentMismatch: it does not fit our books; nothing was applied, an alarm was raised.
        PartyOutcomeUnknown: paid, while it is being reversed; nothing was applied, ask again.
    """

    async def work(connection: Connection) -> None:
        await _apply(connection, account, found, cause=cause, now=now)

    await _guarded(db, account, _number(found), work, now=now)


async def settle_notice(db: Database, account: ChannelAccount, told: Notice, *, now: datetime) -> None:
    """Apply a verified notice once, in one transaction with the record that it was applied.

    Raises:
        PaymentMismatch: as ``settle``. AskFirst: nothing was applied; ask the channel.
    """
    found = told.payment or told.refund
    if found is None:
        raise PaymentMismatch(field="notice")

    async def work(connection: Connection) -> None:
        with suppress(OrderNotFound):  # said below; the order is locked before the notice, as where several are settled
            await history.lock_order(connection, order_of(_number(found)), scope=PLATFORM)
        if await _is_new(connection, account, told, _number(found), now=now):
            await _apply(connection, account, found, cause="notice", now=now, by_notice=True)

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
    taken = await connection.execute(_TAKE_NOTICE, {**key, "digest": digest, "number": number, "at": now})
    if taken.first() is not None:
        return True
    before = await connection.execute(_NOTICE_BEFORE, key)
    if bytes(before.scalar_one()) != digest:
        raise PaymentMismatch(field="notice_id", audit=told.notice_id)
    return False


_TAKE_NOTICE: Final = text(
    """
    INSERT INTO payments_notice (channel, notice_id, account_id, digest, number, at)
    VALUES (:channel, :notice_id, :account_id, :digest, :number, :at) ON CONFLICT DO NOTHING RETURNING notice_id
    """
)
_NOTICE_BEFORE: Final = text(
    """
    SELECT digest FROM payments_notice
    WHERE channel = :channel AND account_id = :account_id AND notice_id = :notice_id
    """
)
_ATTEMPT: Final = text("SELECT * FROM payments_attempt WHERE order_no = :order_no AND attempt_no = :attempt_no")
_OPEN: Final = text(
    """
    SELECT attempt_no FROM payments_attempt
    WHERE order_no = :order_no AND state IN ('started', 'unknown') ORDER BY attempt_no
    """
)
_ASK_SOON: Final = """
    @soon AS (
        UPDATE payments_attempt SET next_ask_at = :now
        WHERE order_no = :order_no AND attempt_no <> :attempt_no AND state IN ('started', 'unknown'))
    """
"""Lets the worker close what else is open at the channels, before somebody pays twice."""


async def _apply(
    connection: Connection,
    account: ChannelAccount,
    found: ChannelPayment | ChannelRefund,
    *,
    cause: str,
    now: datetime,
    by_notice: bool = False,
) -> None:
    if isinstance(found, ChannelRefund):
        await refunds.apply(connection, account, found, cause=cause, now=now)
    else:
        await apply(connection, account, found, cause=cause, now=now, by_notice=by_notice)


async def apply(
    connection: Connection,
    account: ChannelAccount,
    found: ChannelPayment,
    *,
    cause: str,
    now: datetime,
    by_notice: bool = False,
) -> None:
    """Apply a payment's word in the open transaction; errors as ``settle`` and ``settle_notice``."""
    try:
        held = await history.lock_order(connection, order_of(found.attempt_no), scope=PLATFORM)
    except OrderNotFound as error:
        raise PaymentMismatch(field="attempt_no", audit=found.attempt_no) from error
    key = {"order_no": held.order_no, "attempt_no": found.attempt_no}
    tried = (await connection.execute(_ATTEMPT, key)).first()
    if tried is None:
        raise PaymentMismatch(field="attempt_no", audit=found.attempt_no)
    check(account, found, tried)
    if found.status in PAID:
        if by_notice and (tried.state == AttemptState.FAILED or is_taken_back(tried)):
            raise AskFirst(found.attempt_no)
        if is_taken_back(tried) and now < tried.taking_back_at + timedelta(seconds=READ_LAG_S):
            raise PartyOutcomeUnknown(party=account.channel, audit="said to be paid while it is being reversed")
        if tried.state != AttemptState.SUCCEEDED:
            await _paid(connection, held, tried, found, cause=cause, now=now)
    elif found.status in _FINAL:
        if tried.state in ATTEMPT_OPEN:
            await fail(connection, held, tried, cause=f"{cause}:{found.status}", now=now)
    elif tried.state == AttemptState.UNKNOWN:
        await history.move_attempt(connection, tried, AttemptState.STARTED, cause=cause, now=now)


def is_taken_back(tried: Any) -> bool:
    """Say whether a reversal of an open attempt may be under way: word that it was paid may be of before."""
    return tried.state in ATTEMPT_OPEN and tried.taking_back_at is not None


def check(account: ChannelAccount, found: ChannelPayment, tried: Any) -> None:
    """Compare every field of a channel's word with our own books.

    Raises:
        PaymentMismatch: the first field that differs.
    """
    pairs: list[tuple[str, object, object]] = [
        ("account", account.account_id, tried.account_id),
        ("merchant", found.merchant_id, account.merchant_id),
    ]
    if found.status in PAID:
        pairs += [
            ("app", found.app_id, account.app_id),
            ("currency", found.currency, "CNY"),
            ("amount", found.amount_fen, tried.amount_fen),
        ]
        if found.components:
            pairs.append(("components", sum(found.components.values()), tried.amount_fen))
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
    rows = await connection.execute(_OPEN, {"order_no": order_no})
    return list(rows.scalars())


async def _paid(
    connection: Connection, held: Row[Any], tried: Row[Any], found: ChannelPayment, *, cause: str, now: datetime
) -> None:
    late = not await parts.lands(connection, held, tried)
    arrived = ledger.payment_arrived(
        attempt_no=tried.attempt_no,
        shares=await parts.shares(connection, tried),
        institution_id=held.institution_id,
        late=late,
        source_kind=held.source_kind,
    )
    writes = [
        history.moving_attempt(
            tried,
            AttemptState.SUCCEEDED,
            cause=cause,
            now=now,
            landed="suspense" if late else "order",
            channel_trade_no=found.channel_trade_no,
            paid_at=found.paid_at or now,
            next_ask_at=None,
        ),
        ledger.booking(held.order_no, arrived, now=now),
    ]
    if late:
        await together(connection, *writes)
        await _late(connection, held, tried, now=now)
        return
    if held.state == OrderState.CREATED:
        held = await history.move_order(connection, held, OrderState.PAYING, cause=cause, now=now)
    if parts.shared(held):  # whether all is there, and what it is shown as paid by, is read from what is written
        await together(connection, *writes)
        writes = []
        if not await parts.complete(connection, held):
            return
    shown = await parts.shown(connection, held, tried)
    paid = {
        "paid_fen": held.amount_fen,
        "paid_attempt_no": shown.attempt_no,
        "paid_channel": shown.channel,
        "channel_trade_no": found.channel_trade_no if shown.attempt_no == tried.attempt_no else shown.channel_trade_no,
        "paid_at": found.paid_at or now,
    }
    after = history.moved(held, OrderState.PAID, now=now, **paid)
    await together(
        connection,
        *writes,
        history.moving_order(held, OrderState.PAID, cause=cause, now=now, **paid),
        Piece(_ASK_SOON, {"order_no": held.order_no, "attempt_no": tried.attempt_no, "now": now}),
        await news.telling(connection, news.ORDER_PAID, after, now=now, more={"attempt_no": tried.attempt_no}),
    )


async def _late(connection: Connection, held: Row[Any], tried: Row[Any], *, now: datetime) -> None:
    """Money for an order that is paid or closed: it stays in suspense and goes back to its payer, in sight."""
    PaymentsLog.LATE_MONEY.emit(order_no=held.order_no, attempt_no=tried.attempt_no, amount_fen=tried.amount_fen)
    await connection.execute(
        update(order)
        .where(order.c.order_no == held.order_no)
        .values(late_fen=held.late_fen + tried.amount_fen, version=held.version + 1, updated_at=now)
    )
    await refunds.return_late(connection, held, tried, now=now)


def _number(found: ChannelPayment | ChannelRefund) -> str:
    return found.refund_no if isinstance(found, ChannelRefund) else found.attempt_no
