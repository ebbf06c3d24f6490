"""The rows of attempts: go on with an open one, or record a new one and put the order into ``paying``.

The intent is what was sent, so that sending it again says the same. What an insurer wants to hear again, the number of
an agreement and the payer's answer to a challenge are not in it: they are filled in for the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, update

from yimatong.kit.db import Connection
from yimatong.kit.together import Piece, together
from yimatong.payments import asking, history
from yimatong.payments.cashier import queries
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import ChannelAccount, Part, PaymentIntent, Scene
from yimatong.payments.desk import Desk
from yimatong.payments.errors import AttemptsExhausted, AttemptUnderWay
from yimatong.payments.models import attempt
from yimatong.payments.numbers import ATTEMPTS_MAX, attempt_no
from yimatong.payments.states import AttemptState, OrderState

_ACTION_VALID: Final = timedelta(minutes=90)
"""WeChat Pay's QR texts and prepay ids hold for two hours; placing the same number again gives fresh ones."""
_SHORTEST_S: Final = 60
"""WeChat Pay takes no expiry that is nearer than a minute."""
ONCE: Final = frozenset({Scene.BARCODE, Scene.AGREEMENT})
"""Scenes in which starting takes the money: never started again while one is open."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt is to be: of which part, at which channel, how much, until when."""

    account: ChannelAccount
    part: Part
    scene: Scene
    amount_fen: int
    until: datetime
    client_ip: str = "127.0.0.1"
    payer_id: str = ""
    return_url: str = ""
    auth_code: str = ""
    agreement_id: str | None = None
    components: dict[str, int] = {}


def wanted(
    new: NewAttempt,
    account: ChannelAccount,
    *,
    until: datetime,
    amount_fen: int,
    agreement_id: str | None = None,
    components: dict[str, int] | None = None,
) -> Wanted:
    """Return the attempt that a payer asked for."""
    return Wanted(
        account=account,
        part=Part(new.part),
        scene=new.scene,
        amount_fen=amount_fen,
        until=until,
        client_ip=new.client_ip,
        payer_id=new.payer_id,
        return_url=new.return_url,
        auth_code=new.auth_code,
        agreement_id=agreement_id,
        components=components or {},
    )


async def open_or_new(
    connection: Connection, desk: Desk, held: Row[Any], wanted: Wanted, *, now: datetime, beside: Sequence[Piece] = ()
) -> Row[Any]:
    """Return the attempt to go on with, or record a new one; the order is locked by the caller.

    ``beside`` is written in either case. One that waits for the answer to a challenge is gone on with, whether the
    answer is there or not.

    Raises:
        AttemptUnderWay: one that takes the money by itself is open. AttemptsExhausted.
    """
    before, sequence = await queries.reusable(
        connection, held.order_no, channel=wanted.account.channel, scene=wanted.scene, part=wanted.part
    )
    goes_on = before is not None and (wanted.scene in ONCE or before.expires_at > now)
    if before is not None and goes_on:
        if wanted.scene in ONCE and not (_challenged(before) and before.agreement_id == wanted.agreement_id):
            raise AttemptUnderWay(attempt_no=before.attempt_no)
        if beside:
            await together(connection, *beside)
        return before if wanted.scene in ONCE else await _again(connection, held, before, now=now)
    if sequence > ATTEMPTS_MAX:
        raise AttemptsExhausted
    number = attempt_no(held.order_no, sequence)
    writes = [making(desk, held, wanted, number, now=now), *beside]
    if held.state == OrderState.CREATED:
        writes.append(history.moving_order(held, OrderState.PAYING, cause=number, now=now))
    return await together(connection, *writes)


def making(desk: Desk, held: Any, wanted: Wanted, number: str, *, now: datetime) -> Piece:
    """Return what records a new attempt and its line of history; ``number`` is the attempt's."""
    intent = _intent(desk, held, number, wanted, now=now)
    return Piece(
        _MAKE,
        {
            "order_no": held.order_no,
            "attempt_no": intent.attempt_no,
            "part": wanted.part.value,
            "channel": wanted.account.channel,
            "account_id": wanted.account.account_id,
            "scene": wanted.scene.value,
            "agreement_id": wanted.agreement_id,
            "amount_fen": wanted.amount_fen,
            "intent": msgspec.json.encode(intent).decode(),
            "expires_at": intent.expires_at,
            "next_ask_at": now + asking.pause(1),
            "cause": f"{wanted.account.channel}:{wanted.scene}",
            "now": now,
        },
        gives="made",
    )


_MAKE: Final = """
    @made AS (
        INSERT INTO payments_attempt (order_no, attempt_no, part, channel, account_id, scene, agreement_id, amount_fen,
                                      state, cause, intent, sends, sent_at, expires_at, created_at, updated_at,
                                      next_ask_at, asks)
        VALUES (:order_no, :attempt_no, :part, :channel, :account_id, :scene, :agreement_id, :amount_fen,
                'started', '', cast(:intent AS jsonb), 1, :now, :expires_at, :now, :now, :next_ask_at, 0)
        RETURNING *),
    @told AS (
        INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
        SELECT order_no, 'attempt', attempt_no, NULL, state, cast(:cause AS text), created_at FROM @made)
    """


def _challenged(before: Row[Any]) -> bool:
    """Say whether an attempt waits for the payer's answer to a challenge: no money is under way before it."""
    return before.state == AttemptState.STARTED and bool((before.action or {}).get("challenge"))


async def _again(connection: Connection, held: Row[Any], before: Row[Any], *, now: datetime) -> Row[Any]:
    """Go on with an open attempt; where the channel's answer is missing or has grown old it is sent again."""
    if before.action is not None and before.sent_at >= now - _ACTION_VALID:
        return before
    again = await connection.execute(
        update(attempt)
        .where(attempt.c.order_no == held.order_no, attempt.c.attempt_no == before.attempt_no)
        .values(action=None, sends=before.sends + 1, sent_at=now, updated_at=now)
        .returning(attempt)
    )
    resent: Row[Any] = again.one()
    return resent


def _intent(desk: Desk, held: Any, number: str, wanted: Wanted, *, now: datetime) -> PaymentIntent:
    return PaymentIntent(
        attempt_no=number,
        amount_fen=wanted.amount_fen,
        description=held.description,
        expires_at=max(wanted.until, now + timedelta(seconds=_SHORTEST_S)),
        notify_url=desk.notify_url(wanted.account),
        scene=wanted.scene,
        placed_at=now,
        part=wanted.part,
        client_ip=wanted.client_ip,
        payer_id=wanted.payer_id,
        return_url=wanted.return_url,
        auth_code=wanted.auth_code,
        terminal_no=held.terminal_no,
        components=wanted.components,
    )
