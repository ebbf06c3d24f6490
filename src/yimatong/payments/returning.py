"""Taking refunds to their channels and asking how they stand, after the transaction that wanted them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, Update, select, update

from yimatong.access.caller import PLATFORM
from yimatong.kit.errors import PartyOutcomeUnknown, PlatformError
from yimatong.payments import accounts, history, placed, settlement
from yimatong.payments.asking import SILENT, pause
from yimatong.payments.channels.base import ChannelAccount, RefundRequest, RefundStatus
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelRefused, PaymentMismatch
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import attempt, refund
from yimatong.payments.numbers import order_of
from yimatong.payments.refunds import service
from yimatong.payments.states import REFUND_OPEN, RefundState


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A refund, where it goes, and what its channel is told of it."""

    row: Row[Any]
    account: ChannelAccount
    request: RefundRequest


async def ask_refund(desk: Desk, refund_no: str, *, now: datetime) -> None:
    """Take a refund to the channel, or ask how it stands, and apply the answer.

    The same number is sent again only after the channel said that it does not know it, or nothing was ever sent; the
    channels move money once for one number all the same.
    """
    asked = await _open(desk, refund_no, now=now)
    if asked is None:
        return
    send = asked.row.sends == 0
    try:
        if not send:
            send = await _ask(desk, asked, now=now)
        if send:
            await _send(desk, asked, now=now)
    except PaymentMismatch:
        pass  # the alarm is raised; a person acts, and the channel is asked again until then
    except SILENT as error:
        await _silent(desk, refund_no, error, now=now)
    async with desk.db.transaction() as connection:
        later = _set(refund_no).where(refund.c.state.in_(REFUND_OPEN))
        await connection.execute(later.values(next_ask_at=now + pause(asked.row.asks)))


async def _open(desk: Desk, refund_no: str, *, now: datetime) -> _Asked | None:
    """Note that a refund is about to be sent; return None when it has ended."""
    async with desk.db.transaction() as connection:
        await history.lock_order(connection, order_of(refund_no), scope=PLATFORM)
        row = (await connection.execute(_where(refund_no))).one()
        if row.state not in REFUND_OPEN:
            return None
        account = await accounts.by_id(connection, desk.vault, row.account_id)
        tried = (
            await connection.execute(
                select(attempt).where(attempt.c.order_no == row.order_no, attempt.c.attempt_no == row.attempt_no)
            )
        ).one()
        paid = await placed.payment(connection, desk.vault, tried)
        await connection.execute(_set(refund_no).values(sends=1, updated_at=now))
    return _Asked(
        row=row, account=account, request=placed.refund_request(row, paid, notify_url=desk.notify_url(account))
    )


def _where(refund_no: str) -> Select[Any]:
    return select(refund).where(refund.c.order_no == order_of(refund_no), refund.c.refund_no == refund_no)


def _set(refund_no: str) -> Update:
    return update(refund).where(refund.c.order_no == order_of(refund_no), refund.c.refund_no == refund_no)


async def _ask(desk: Desk, asked: _Asked, *, now: datetime) -> bool:
    """Ask and settle; return True when the channel does not know the number, so that it must be sent."""
    try:
        found = await desk.channel(asked.account.channel).query_refund(asked.account, asked.request, now=now)
    except ChannelRefused as error:
        PaymentsLog.CHANNEL_SILENT.emit(number=asked.row.refund_no, cause=error.code, detail=str(error))
        return False
    if found.status is RefundStatus.ABSENT:
        return True
    await settlement.settle(desk.db, asked.account, found, cause="query", now=now)
    return False


async def _send(desk: Desk, asked: _Asked, *, now: datetime) -> None:
    try:
        found = await desk.channel(asked.account.channel).refund(asked.account, asked.request, now=now)
    except ChannelRefused as error:
        await _refused(desk, asked.row.order_no, asked.row.refund_no, error, now=now)
        return
    await settlement.settle(desk.db, asked.account, found, cause="query", now=now)


async def _silent(desk: Desk, refund_no: str, error: PlatformError, *, now: datetime) -> None:
    PaymentsLog.CHANNEL_SILENT.emit(number=refund_no, cause=error.code, detail=error.audit)
    if not isinstance(error, PartyOutcomeUnknown):
        return
    async with desk.db.transaction() as connection:
        await history.lock_order(connection, order_of(refund_no), scope=PLATFORM)
        row = (await connection.execute(_where(refund_no))).one()
        if row.state in (RefundState.REQUESTED, RefundState.PROCESSING):
            await history.move_refund(connection, row, RefundState.UNKNOWN, cause=error.code, now=now)


async def _refused(desk: Desk, order_no: str, refund_no: str, error: ChannelRefused, *, now: datetime) -> None:
    """The channel declined for good: the refund is closed and its money is where it was."""
    async with desk.db.transaction() as connection:
        held = await history.lock_order(connection, order_no, scope=PLATFORM)
        row = (await connection.execute(_where(refund_no))).one()
        if row.state not in REFUND_OPEN:
            return
        cause = f"channel:{error.facts.get('channel_code', '')}"
        await history.move_refund(connection, row, RefundState.CLOSED, cause=cause, now=now, next_ask_at=None)
        await service.drop(connection, held, row, now=now)
