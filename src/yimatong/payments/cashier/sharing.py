"""Payments that are started at the same moment, recorded together: the shared form of the cashier's first step.

Most starts are plain: the first attempt of an order that no insurer shares, placed by the hospital itself, at a channel
whose payment page or code comes next. Their intents, and afterwards what the channels answered, are written with a few
statements and one commit, exactly as one alone would be. Whatever is not plain is left untouched and started alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import msgspec
from psycopg.rows import namedtuple_row

from yimatong.access.caller import Scope
from yimatong.kit import audit
from yimatong.kit.arrays import moments, plain, texts
from yimatong.kit.db import Answers, Batch, Database, RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.kit.together import Piece
from yimatong.payments import accounts, history, parts
from yimatong.payments.cashier import attempts
from yimatong.payments.cashier.attempts import ONCE, Wanted
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import CashierAction, ChannelAccount, Part
from yimatong.payments.desk import Desk
from yimatong.payments.errors import StateEdgeRefused
from yimatong.payments.numbers import attempt_no
from yimatong.payments.orders.service import paying_until, require_payable
from yimatong.payments.states import OrderState


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One payment on its way through a batch; ``note`` is its audit row."""

    order_no: str
    new: NewAttempt
    scope: Scope
    at_counter: bool
    note: Piece
    now: datetime


class Begun(NamedTuple):
    """A recorded attempt, as its row, and the merchant account that it goes to."""

    tried: Any
    account: ChannelAccount


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel answered, to be kept with its attempt."""

    order_no: str
    attempt_no: str
    action: CashierAction
    now: datetime


class Shared(NamedTuple):
    """The two batches of starting; one lane each, so that what waits for the disk becomes one commit."""

    starts: Batch[Start, Begun | None]
    answers: Batch[Shown, bool]


def shared(desk: Desk, db: Database) -> Shared:
    """Return the batches of one process."""
    return Shared(starts=db.batch(Starter(desk).begin, lanes=1), answers=db.batch(keep, lanes=1))


def may_be_shared(new: NewAttempt) -> bool:
    """Say whether a start can be plain: the payer's own part, by a page or a code that the payer sees first."""
    return new.part == Part.CASH.value and new.scene not in ONCE


class _Wish(NamedTuple):
    start: Start
    held: Any
    wanted: Wanted


class Starter:
    """Records intents; ``begin`` is the work of a batch."""

    def __init__(self, desk: Desk) -> None:
        """Notices come to where the desk says."""
        self._desk = desk

    async def begin(self, connection: RawConnection, starts: Sequence[Start]) -> Answers[Begun | None]:
        """Record the plain ones of some starts in the open transaction; None: it is to be started alone."""
        first: dict[str, Start] = {}
        for start in starts:
            first.setdefault(start.order_no, start)
        wishes = await self._wishes(connection, first)
        begun = await self._write(connection, wishes) if wishes else {}

        async def answers() -> Sequence[Begun | None]:
            return [begun.get(start.order_no) if first[start.order_no] is start else None for start in starts]

        return answers

    async def _wishes(self, connection: RawConnection, starts: Mapping[str, Start]) -> list[_Wish]:
        """Lock the orders, and read what decides: whether there were attempts, and the hospitals' accounts."""
        numbers = texts(sorted(starts))
        channels = texts({start.new.channel for start in starts.values()})
        locking = connection.cursor(row_factory=namedtuple_row)
        await locking.execute(_LOCK, (numbers,))
        trying = await connection.execute(_TRIED, (numbers,))
        account = connection.cursor(row_factory=namedtuple_row)
        await account.execute(_ACCOUNTS, (numbers, channels))
        held: Sequence[Any] = await locking.fetchall()
        tried = {row[0] for row in await trying.fetchall()}
        known: Sequence[Any] = await account.fetchall()
        opened = {
            (row.institution_id, row.channel): await accounts.opened(row, self._desk.vault, channel=row.channel)
            for row in known
        }
        return [
            _Wish(start, row, _wanted(start, row, found))
            for row in held
            if row.order_no not in tried
            and _is_plain(row, start := starts[row.order_no])
            and (found := opened.get((row.institution_id, start.new.channel))) is not None
        ]

    async def _write(self, connection: RawConnection, wishes: Sequence[_Wish]) -> dict[str, Begun]:
        made = [
            attempts.making(self._desk, wish.held, wish.wanted, attempt_no(wish.held.order_no, 1), now=wish.start.now)
            for wish in wishes
        ]
        rows = [piece.values for piece in made]
        columns = [kind(row[name] for row in rows) for name, kind in _ATTEMPT.items()]
        columns.append(plain(wish.held.version for wish in wishes))
        cursor = await connection.execute(_WRITE, columns)
        await audit.record_many(connection, [wish.start.note for wish in wishes])
        if await cursor.fetchone() != (len(wishes),):
            raise StateEdgeRefused(kind="order", old=OrderState.CREATED, new=OrderState.PAYING)
        return {
            wish.held.order_no: Begun(
                SimpleNamespace(**{**row, "intent": msgspec.json.decode(str(row["intent"])), "action": None}),
                wish.wanted.account,
            )
            for wish, row in zip(wishes, rows, strict=True)
        }


def _is_plain(held: Any, start: Start) -> bool:
    if held.state != OrderState.CREATED or held.service_channel_id is not None or parts.shared(held):
        return False
    try:
        require_payable(held, at_counter=start.at_counter, now=start.now)
    except PlatformError:
        return False
    return history.is_within(held, start.scope)


def _wanted(start: Start, held: Any, account: ChannelAccount) -> Wanted:
    until = paying_until(held, at_counter=start.at_counter)
    return attempts.wanted(start.new, account, until=until, amount_fen=int(held.cash_fen))


_LOCK: Final = "SELECT * FROM payments_order WHERE order_no = ANY(%s::text[]) ORDER BY order_no FOR UPDATE"
_TRIED: Final = "SELECT DISTINCT order_no FROM payments_attempt WHERE order_no = ANY(%s::text[])"
_ACCOUNTS: Final = """
    SELECT DISTINCT a.* FROM payments_order o
    JOIN payments_channel_account a ON a.institution_id = o.institution_id
    WHERE o.order_no = ANY(%s::text[]) AND a.channel = ANY(%s::text[]) AND a.state = 'active'
"""
Column = Callable[[Any], str]
_ATTEMPT: Final[Mapping[str, Column]] = {
    **dict.fromkeys(("order_no", "attempt_no", "part", "channel", "account_id", "scene", "intent", "cause"), texts),
    "amount_fen": plain,
    **dict.fromkeys(("expires_at", "next_ask_at", "now"), moments),
}
_WRITE: Final = """
    WITH wish AS (
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                             %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
                             %s::int[])
        AS w (order_no, attempt_no, part, channel, account_id, scene, intent, cause, amount_fen, expires_at,
              next_ask_at, now, version)),
    made AS (
        INSERT INTO payments_attempt (order_no, attempt_no, part, channel, account_id, scene, amount_fen, state, cause,
                                      intent, sends, sent_at, expires_at, created_at, updated_at, next_ask_at, asks)
        SELECT order_no, attempt_no, part, channel, account_id, scene, amount_fen, 'started', '', intent::jsonb, 1, now,
               expires_at, now, now, next_ask_at, 0
        FROM wish),
    moved AS (
        UPDATE payments_order o SET state = 'paying', updated_at = w.now, version = o.version + 1
        FROM wish w WHERE o.order_no = w.order_no AND o.state = 'created' AND o.version = w.version
        RETURNING o.order_no, w.attempt_no, w.now),
    told AS (
        INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
        SELECT order_no, 'attempt', attempt_no, NULL, 'started', cause, now FROM wish
        UNION ALL SELECT order_no, 'order', order_no, 'created', 'paying', attempt_no, now FROM moved)
    SELECT count(*) FROM moved
"""


async def keep(connection: RawConnection, shown: Sequence[Shown]) -> Answers[bool]:
    """Keep what channels answered with their attempts; the answer is True for each."""
    columns = (
        texts(each.order_no for each in shown),
        texts(each.attempt_no for each in shown),
        texts(msgspec.json.encode(each.action).decode() for each in shown),
        moments(each.now for each in shown),
    )
    await connection.execute(_KEEP, columns)

    async def answers() -> Sequence[bool]:
        return [True] * len(shown)

    return answers


_KEEP: Final = """
    UPDATE payments_attempt a SET action = i.action::jsonb, updated_at = i.now
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[]) AS i (order_no, attempt_no, action, now)
    WHERE a.order_no = i.order_no AND a.attempt_no = i.attempt_no
"""
