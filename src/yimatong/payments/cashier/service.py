"""The verbs of the cashier. The intent is committed before the channel is called, the outcome after it.

A second start on the same channel and in the same scene goes on with the open attempt: the channel knows it by the
same number, so nobody pays twice for pressing a button twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, insert, update

from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit.db import Connection
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable, PlatformError
from yimatong.payments import accounts, asking, history, settlement
from yimatong.payments.cashier import queries
from yimatong.payments.cashier.schemas import NewAttempt, StartedAttempt
from yimatong.payments.channels.base import CashierAction, ChannelAccount, PaymentIntent
from yimatong.payments.desk import Desk
from yimatong.payments.errors import AttemptsExhausted, ChannelAlreadyPaid, ChannelBusy, ChannelRefused
from yimatong.payments.models import attempt
from yimatong.payments.numbers import ATTEMPTS_MAX, attempt_no, require_order_no
from yimatong.payments.orders.schemas import OrderStateView
from yimatong.payments.orders.service import require_payable
from yimatong.payments.states import ATTEMPT_OPEN, AttemptState, OrderState

NOTHING_PLACED = (ChannelRefused, ChannelBusy, PartyUnreachable)
NotStarted = (*NOTHING_PLACED, ChannelAlreadyPaid, PartyOutcomeUnknown)
_ACTION_VALID = timedelta(minutes=90)
"""WeChat Pay's QR texts and prepay ids hold for two hours; placing the same number again gives fresh ones."""
_SHORTEST_S = 60
"""WeChat Pay takes no expiry that is nearer than a minute."""


async def start_attempt(
    desk: Desk, order_no: str, new: NewAttempt, *, scope: Scope = PLATFORM, now: datetime
) -> StartedAttempt:
    """Start a payment at a channel, or go on with the open one of the same channel and scene.

    Raises:
        OrderNotFound, OrderNotPayable, OrderExpired, ChannelNotOffered, AttemptsExhausted: nothing was started.
        ChannelRefused, ChannelBusy, PartyUnreachable: the attempt has failed, another may be started.
        ChannelAlreadyPaid, PartyOutcomeUnknown: the attempt is unknown and asked; starting again goes on with it.
    """
    channel = desk.channel(new.channel)
    async with desk.db.transaction() as connection:
        held = await history.lock_order(connection, require_order_no(order_no), scope=scope)
        require_payable(held, now=now)
        account = await accounts.of_institution(connection, desk.vault, held.institution_id, new.channel)
        tried = await _attempt(connection, desk, held, account, new, now=now)
    if tried.action is not None:
        return _started(tried.attempt_no, msgspec.convert(tried.action, CashierAction))
    try:
        action = await channel.start(account, msgspec.convert(tried.intent, PaymentIntent), now=now)
    except NotStarted as error:
        await _not_started(desk, tried, error, now=now)
        raise
    async with desk.db.transaction() as connection:
        await connection.execute(
            update(attempt)
            .where(attempt.c.order_no == held.order_no, attempt.c.attempt_no == tried.attempt_no)
            .values(action=msgspec.to_builtins(action), updated_at=now)
        )
    return _started(tried.attempt_no, action)


async def refresh(desk: Desk, order_no: str, *, scope: Scope = PLATFORM, now: datetime) -> OrderStateView:
    """Ask the channels about an order's open attempts now, and return where it stands after their answers.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    async with desk.db.read() as connection:
        before = await queries.status(connection, order_no, scope=scope)
        waiting = await queries.worth_asking(connection, order_no)
    if not waiting:
        return before
    for number in waiting:
        await asking.ask_attempt(desk, number, now=now)
    async with desk.db.read() as connection:
        return await queries.status(connection, order_no, scope=scope)


async def _attempt(
    connection: Connection, desk: Desk, held: Row[Any], account: ChannelAccount, new: NewAttempt, *, now: datetime
) -> Row[Any]:
    """Return the attempt to go on with, or record a new one and put the order into ``paying``."""
    before = await queries.reusable(connection, held.order_no, channel=new.channel, scene=new.scene)
    if before is not None:
        if before.action is None or before.sent_at < now - _ACTION_VALID:
            again = await connection.execute(
                update(attempt)
                .where(attempt.c.order_no == held.order_no, attempt.c.attempt_no == before.attempt_no)
                .values(action=None, sends=before.sends + 1, sent_at=now, updated_at=now)
                .returning(attempt)
            )
            resent: Row[Any] = again.one()
            return resent
        return before
    sequence = await queries.next_sequence(connection, held.order_no)
    if sequence > ATTEMPTS_MAX:
        raise AttemptsExhausted
    number = attempt_no(held.order_no, sequence)
    made = await connection.execute(
        insert(attempt)
        .values(
            order_no=held.order_no,
            attempt_no=number,
            channel=new.channel,
            account_id=account.account_id,
            scene=new.scene,
            amount_fen=held.amount_fen,
            intent=msgspec.to_builtins(_intent(desk, held, number, account, new, now=now)),
            state=AttemptState.STARTED,
            sent_at=now,
            created_at=now,
            updated_at=now,
            next_ask_at=now + asking.pause(1),
        )
        .returning(attempt)
    )
    await history.tell(
        connection,
        held.order_no,
        kind="attempt",
        number=number,
        new=AttemptState.STARTED,
        cause=f"{new.channel}:{new.scene}",
        now=now,
    )
    if held.state == OrderState.CREATED:
        await history.move_order(connection, held, OrderState.PAYING, cause=number, now=now)
    row: Row[Any] = made.one()
    return row


def _intent(
    desk: Desk, held: Row[Any], number: str, account: ChannelAccount, new: NewAttempt, *, now: datetime
) -> PaymentIntent:
    return PaymentIntent(
        attempt_no=number,
        amount_fen=held.amount_fen,
        description=held.description,
        expires_at=max(held.expires_at, now + timedelta(seconds=_SHORTEST_S)),
        notify_url=desk.notify_url(account),
        scene=new.scene,
        client_ip=new.client_ip,
        payer_id=new.payer_id,
        return_url=new.return_url,
    )


async def _not_started(desk: Desk, tried: Row[Any], error: PlatformError, *, now: datetime) -> None:
    """Record why a start did not come through.

    Only where nothing can have been placed (one send, and the channel declined it or was never reached) has the
    attempt failed; in every other case the channel is asked.
    """
    async with desk.db.transaction() as connection:
        held = await history.lock_order(connection, tried.order_no, scope=PLATFORM)
        row = await queries.of_locked_order(connection, tried.order_no, tried.attempt_no)
        if row.state not in ATTEMPT_OPEN:
            return
        sure = isinstance(error, NOTHING_PLACED) and row.sends == 1
        if sure:
            await settlement.fail(connection, held, row, cause=_cause(error), now=now)
        elif row.state == AttemptState.STARTED:
            await history.move_attempt(
                connection, row, AttemptState.UNKNOWN, cause=_cause(error), now=now, next_ask_at=now
            )


def _cause(error: PlatformError) -> str:
    if isinstance(error, ChannelRefused):
        return f"channel:{error.facts.get('channel_code', '')}"
    return error.code


def _started(number: str, action: CashierAction) -> StartedAttempt:
    return StartedAttempt(
        attempt_no=number, qr_text=action.qr_text, redirect_url=action.redirect_url, sdk_params=action.sdk_params
    )
