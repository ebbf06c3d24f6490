"""The verbs of the cashier. The intent is committed before the channel is called, the outcome after it.

A second start on the same channel and in the same scene goes on with the open attempt: the channel knows it by the
same number, so nobody pays twice for pressing a button twice. Insurance parts are settled before the payer's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, text

from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit.db import Connection
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable, PlatformError
from yimatong.kit.together import Piece, together
from yimatong.payments import accounts, asking, history, parts, placed, settlement
from yimatong.payments.cashier import attempts, queries, sharing
from yimatong.payments.cashier.attempts import Wanted
from yimatong.payments.cashier.schemas import NewAttempt, StartedAttempt
from yimatong.payments.cashier.sharing import Shared, Shown, Start
from yimatong.payments.channels.base import CashierAction, ChannelAccount, Part, PaymentIntent, Scene
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AgreementNotFound,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    LegNotFound,
    LegPending,
    PaymentMismatch,
    SceneNotOffered,
)
from yimatong.payments.numbers import require_order_no
from yimatong.payments.orders.schemas import OrderStateView
from yimatong.payments.orders.service import paying_until, require_payable
from yimatong.payments.states import ATTEMPT_OPEN, AttemptState

NOTHING_PLACED = (ChannelRefused, ChannelBusy, PartyUnreachable)
NotStarted = (*NOTHING_PLACED, ChannelAlreadyPaid, PartyOutcomeUnknown)


Admit = Callable[[Connection, Row[Any], ChannelAccount], Awaitable[str]]


class Extra(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt needs that is never stored with it: the channel's agreement, the payer's answer.

    ``admit`` checks in the attempt's own transaction whether the agreement allows it, and returns its number.
    """

    agreement_id: str | None = None
    agreement_no: str = ""
    answer: str = ""
    admit: Admit | None = None


async def start_attempt(
    desk: Desk,
    order_no: str,
    new: NewAttempt,
    *,
    scope: Scope = PLATFORM,
    at_counter: bool = False,
    extra: Extra | None = None,
    note: Piece | None = None,
    shared: Shared | None = None,
    now: datetime,
) -> StartedAttempt:
    """Start a payment at a channel, or go on with the open one of the same channel and scene.

    ``at_counter``: at a kiosk or window, where an order may be paid after its time in apps is over. ``note`` is the
    audit row, written beside the intent; what is refused leaves none, as with every write. Plain starts go by
    ``shared``.

    Raises:
        OrderNotFound, OrderNotPayable, OrderExpired, AppTimeOver, ChannelNotOffered, SceneNotOffered,
        AttemptUnderWay, AttemptsExhausted, LegPending: nothing was started.
        ChannelRefused, ChannelBusy, PartyUnreachable: the attempt has failed, another may be started.
        ChannelAlreadyPaid, PartyOutcomeUnknown: the attempt is unknown and asked; starting again goes on with it.
    """
    channel = desk.channel(new.channel)
    if new.scene not in channel.scenes:
        raise SceneNotOffered(channel=new.channel, scene=new.scene)
    beside = () if note is None else (note,)
    if shared is not None and note is not None and extra is None and sharing.may_be_shared(new):
        wish = Start(order_no=order_no, new=new, scope=scope, at_counter=at_counter, note=note, now=now)
        begun = await shared.starts.tried(wish)
        if begun is not None:
            return await _send(desk, begun.tried, begun.account, Extra(), shared=shared, now=now)
    extra = extra or Extra()
    async with desk.db.transaction() as connection:
        held = await _payable(connection, order_no, scope=scope, at_counter=at_counter, now=now)
        legs = await _unsettled(connection, held)
        if not legs or new.part == "whole":
            wanted = await _wanted(connection, desk, held, new, legs=legs, extra=extra, at_counter=at_counter)
            if new.scene is Scene.AGREEMENT:
                extra = await _admitted(connection, held, wanted, extra)
            tried = await attempts.open_or_new(connection, desk, held, wanted, now=now, beside=beside)
        elif beside:
            await together(connection, *beside)
    if legs and new.part != "whole":
        settled = [await _settle_leg(desk, held, leg, now=now) for leg in legs]
        if not held.cash_fen or new.channel in {leg.channel for leg in legs}:
            return settled[-1]
        return await start_attempt(desk, order_no, new, scope=scope, at_counter=at_counter, extra=extra, now=now)
    if tried.action is not None and not extra.answer:
        return _started(tried.attempt_no, msgspec.convert(tried.action, CashierAction))
    return await _send(desk, tried, wanted.account, extra, now=now)


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


async def take_back(desk: Desk, order_no: str, *, scope: Scope = PLATFORM, now: datetime) -> OrderStateView:
    """Close an order's open attempts at their channels (a payment code that hangs is reversed); the order stays open.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    async with desk.db.read() as connection:
        await queries.status(connection, order_no, scope=scope)
        waiting = await queries.worth_asking(connection, order_no)
    for number in waiting:
        await asking.close_attempt(desk, number, now=now)
    async with desk.db.read() as connection:
        return await queries.status(connection, order_no, scope=scope)


async def _payable(connection: Connection, order_no: str, *, scope: Scope, at_counter: bool, now: datetime) -> Row[Any]:
    held = await history.lock_order(connection, require_order_no(order_no), scope=scope)
    require_payable(held, at_counter=at_counter, now=now)
    return held


async def _unsettled(connection: Connection, held: Row[Any]) -> list[Row[Any]]:
    """Return the parts that insurers were found to pay and have not."""
    if not parts.shared(held):
        return []
    taken = await parts.credited(connection, held.order_no)
    return [leg for part, leg in (await parts.legs(connection, held.order_no)).items() if part not in taken]


async def _wanted(
    connection: Connection,
    desk: Desk,
    held: Row[Any],
    new: NewAttempt,
    *,
    legs: list[Row[Any]],
    extra: Extra,
    at_counter: bool,
) -> Wanted:
    """Return the attempt of the payer's own part, or of the whole."""
    account = await accounts.of_institution(connection, desk.vault, held.institution_id, new.channel)
    await queries.require_allowed(connection, held, new.channel)
    amount_fen, components = int(held.cash_fen), {}
    if new.part == "whole":
        insured = [leg for leg in legs if leg.part == Part.INSURANCE]
        if not insured:
            raise LegNotFound(part=Part.INSURANCE)
        amount_fen, components = amount_fen + insured[0].amount_fen, insured[0].components
    return attempts.wanted(
        new,
        account,
        until=paying_until(held, at_counter=at_counter),
        amount_fen=amount_fen,
        agreement_id=extra.agreement_id,
        components=components,
    )


async def _admitted(connection: Connection, held: Row[Any], wanted: Wanted, extra: Extra) -> Extra:
    """Check that the agreement allows the payment, and add its number for the call."""
    if extra.admit is None:
        raise AgreementNotFound
    return msgspec.structs.replace(extra, agreement_no=await extra.admit(connection, held, wanted.account))


async def _settle_leg(desk: Desk, held: Row[Any], leg: Row[Any], *, now: datetime) -> StartedAttempt:
    """Have an insurer settle its part.

    Raises:
        LegPending: it has not confirmed it yet. As for ``start_attempt`` where it was not started.
    """
    async with desk.db.transaction() as connection:
        row = await history.lock_order(connection, held.order_no, scope=PLATFORM)
        require_payable(row, at_counter=True, now=now)
        account = await accounts.by_id(connection, desk.vault, leg.account_id)
        wanted = Wanted(
            account=account,
            part=Part(leg.part),
            scene=Scene.DIRECT,
            amount_fen=leg.amount_fen,
            until=row.expires_at,
            components=leg.components,
        )
        tried = await attempts.open_or_new(connection, desk, row, wanted, now=now)
    if tried.action is None:
        done = await _send(desk, tried, account, Extra(), now=now)
    else:
        await asking.ask_attempt(desk, tried.attempt_no, now=now)
        done = _started(tried.attempt_no, CashierAction())
    async with desk.db.read() as connection:
        if Part(leg.part) not in await parts.credited(connection, held.order_no):
            raise LegPending
    return done


async def _send(
    desk: Desk, tried: Any, account: ChannelAccount, extra: Extra, *, shared: Shared | None = None, now: datetime
) -> StartedAttempt:
    """Take a recorded attempt to its channel, record what comes of it, and settle what it says at once."""
    intent = msgspec.convert(tried.intent, PaymentIntent)
    if tried.part != Part.CASH:
        async with desk.db.read() as connection:
            told = await placed.references(connection, desk.vault, tried.order_no, tried.part)
        intent = msgspec.structs.replace(intent, references=told)
    if extra.agreement_no:
        intent = msgspec.structs.replace(intent, agreement_no=extra.agreement_no, answer=extra.answer)
    try:
        action = await desk.channel(account.channel).start(account, intent, now=now)
    except NotStarted as error:
        await _not_started(desk, tried, error, now=now)
        raise
    shown = msgspec.structs.replace(action, settled=None)
    await _keep(desk, shared, Shown(order_no=tried.order_no, attempt_no=tried.attempt_no, action=shown, now=now))
    if action.settled is not None:
        try:
            await settlement.settle(desk.db, account, action.settled, cause="start", now=now)
        except PaymentMismatch as error:
            raise PartyOutcomeUnknown(party=account.channel, audit=error.audit) from error
    return _started(tried.attempt_no, shown)


async def _keep(desk: Desk, shared: Shared | None, shown: Shown) -> None:
    """Keep what the channel answered, with others where some wait."""
    if shared is not None and await shared.answers.tried(shown):
        return
    async with desk.db.single() as connection:
        action = msgspec.json.encode(shown.action).decode()
        await connection.execute(_KEEP_ACTION, msgspec.structs.asdict(shown) | {"action": action})


_KEEP_ACTION: Final = text(
    """
    UPDATE payments_attempt SET action = cast(:action AS jsonb), updated_at = :now
    WHERE order_no = :order_no AND attempt_no = :attempt_no
    """
)


async def _not_started(desk: Desk, tried: Any, error: PlatformError, *, now: datetime) -> None:
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
        attempt_no=number,
        qr_text=action.qr_text,
        redirect_url=action.redirect_url,
        form_url=action.form.url if action.form else "",
        form_fields=action.form.fields if action.form else {},
        sdk_params=action.sdk_params,
        challenge=action.challenge,
    )
