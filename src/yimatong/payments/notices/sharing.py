"""Notices of the same moment, settled together: the shared form of ``settlement.settle_notice``.

Most notices say the plain thing: the one open attempt of an order that waits for nothing else was paid, once, in full.
Those that arrive together are settled with a few statements and one commit, checked and written exactly as one alone
would be. Whatever is not plain is left untouched and settled alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from psycopg.rows import namedtuple_row

from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.vault import Vault
from yimatong.kit import outbox
from yimatong.kit.arrays import moments, octets, plain, texts
from yimatong.kit.db import Answers, Batch, Database, RawConnection
from yimatong.payments import accounts, history, ledger, news, parts, settlement
from yimatong.payments.channels.base import ChannelAccount, ChannelPayment, Notice
from yimatong.payments.errors import PaymentMismatch, StateEdgeRefused
from yimatong.payments.numbers import is_attempt_no, order_of
from yimatong.payments.states import ATTEMPT_OPEN, OrderState


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A verified notice of a payment on its way through a batch."""

    account: ChannelAccount
    told: Notice
    found: ChannelPayment
    now: datetime


class Shared(NamedTuple):
    """The batches of taking notices: of reading accounts, and of settling; one lane each, so that they grow."""

    accounts: Batch[str, ChannelAccount]
    settlements: Batch[Word, bool]


def shared(db: Database, vault: Vault) -> Shared:
    """Return the batches of one process."""
    return Shared(accounts=db.batch(accounts.reading(vault), lanes=1), settlements=db.batch(settle, lanes=1))


class _Paid(msgspec.Struct, frozen=True, kw_only=True):
    """What a plain notice does: ``held`` and ``tried`` are the rows before it."""

    word: Word
    held: Any
    tried: Any

    @property
    def values(self) -> dict[str, Any]:
        """Return what the order's row gets."""
        return {
            "paid_fen": self.held.amount_fen,
            "paid_attempt_no": self.tried.attempt_no,
            "paid_channel": self.tried.channel,
            "channel_trade_no": self.word.found.channel_trade_no,
            "paid_at": self.word.found.paid_at or self.word.now,
        }


def may_be_shared(told: Notice) -> bool:
    """Say whether a notice can be plain: it tells of an attempt's payment."""
    found = told.payment
    return found is not None and found.status in settlement.PAID and is_attempt_no(found.attempt_no)


async def settle(connection: RawConnection, words: Sequence[Word]) -> Answers[bool]:
    """Settle the plain ones of some notices in the open transaction; the answer says of each whether it was.

    One that was not has changed nothing: it is to be settled alone.
    """
    first: dict[str, Word] = {}
    for word in words:
        first.setdefault(order_of(word.found.attempt_no), word)
    found = [each for each in await _read(connection, first) if _is_plain(each)]
    settled = await _fresh(connection, found) if found else []
    if settled:
        await _write(connection, settled)
    done = {id(each.word) for each in settled}

    async def answers() -> Sequence[bool]:
        return [id(word) in done for word in words]

    return answers


_LOCK: Final = "SELECT * FROM payments_order WHERE order_no = ANY(%s::text[]) ORDER BY order_no FOR UPDATE"
_ATTEMPTS: Final = "SELECT * FROM payments_attempt WHERE attempt_no = ANY(%s::text[]) AND order_no = ANY(%s::text[])"


async def _read(connection: RawConnection, words: Mapping[str, Word]) -> list[_Paid]:
    """Lock the orders, then read the attempts: as they are once the orders are ours."""
    numbers = texts(sorted(words))
    held_by = connection.cursor(row_factory=namedtuple_row)
    await held_by.execute(_LOCK, (numbers,))
    tried_by = connection.cursor(row_factory=namedtuple_row)
    await tried_by.execute(_ATTEMPTS, (texts(word.found.attempt_no for word in words.values()), numbers))
    locked: Sequence[Any] = await held_by.fetchall()
    tried: Sequence[Any] = await tried_by.fetchall()
    orders = {row.order_no: row for row in locked}
    return [
        _Paid(word=words[row.order_no], held=orders[row.order_no], tried=row) for row in tried if row.order_no in orders
    ]


def _is_plain(each: _Paid) -> bool:
    if each.held.state != OrderState.PAYING or each.tried.state not in ATTEMPT_OPEN:
        return False
    if settlement.is_taken_back(each.tried):
        return False
    try:
        settlement.check(each.word.account, each.word.found, each.tried)
    except PaymentMismatch:
        return False
    return parts.lands_plainly(each.held, each.tried)


_TAKE: Final = """
    INSERT INTO payments_notice (channel, notice_id, account_id, digest, number, at)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::timestamptz[])
    AS i (channel, notice_id, account_id, digest, number, at)
    ORDER BY 1, 3, 2 ON CONFLICT DO NOTHING RETURNING account_id, notice_id
"""


async def _fresh(connection: RawConnection, found: Sequence[_Paid]) -> list[_Paid]:
    """Note the notices as applied; return those that had not been."""
    words = [each.word for each in found]
    columns = (
        texts(word.account.channel for word in words),
        texts(word.told.notice_id for word in words),
        texts(word.account.account_id for word in words),
        octets(sm3(msgspec.json.encode(word.told)) for word in words),
        texts(word.found.attempt_no for word in words),
        moments(word.now for word in words),
    )
    rows: Sequence[Any] = await (await connection.execute(_TAKE, columns)).fetchall()
    taken = {(row[0], row[1]) for row in rows}
    once = dict[tuple[str, str], _Paid]()
    for each in found:
        once.setdefault((each.word.account.account_id, each.word.told.notice_id), each)
    return [each for key, each in once.items() if key in taken]


_WRITE: Final = """
    WITH word AS (
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[],
                             %s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        AS w (order_no, attempt_no, state, version, channel, trade_no, movement, debit, credit, fen, paid_at, now)),
    succeeded AS (
        UPDATE payments_attempt a
        SET state = 'succeeded', landed = 'order', channel_trade_no = w.trade_no, paid_at = w.paid_at,
            next_ask_at = NULL, updated_at = w.now
        FROM word w WHERE a.order_no = w.order_no AND a.attempt_no = w.attempt_no AND a.state = w.state
        RETURNING a.order_no, a.attempt_no, w.state AS old, w.now),
    soon AS (
        UPDATE payments_attempt a SET next_ask_at = w.now
        FROM word w
        WHERE a.order_no = w.order_no AND a.attempt_no <> w.attempt_no AND a.state IN ('started', 'unknown')),
    movement AS (
        INSERT INTO payments_ledger_transaction (order_no, movement, at) SELECT order_no, movement, now FROM word),
    entry AS (
        INSERT INTO payments_ledger_entry (order_no, movement, line, account, amount_fen, at)
        SELECT w.order_no, w.movement, l.line, l.account, l.fen, w.now
        FROM word w, LATERAL (VALUES (1, w.debit, w.fen), (2, w.credit, -w.fen)) AS l (line, account, fen)),
    paid AS (
        UPDATE payments_order o
        SET state = 'paid', updated_at = w.now, version = o.version + 1, paid_fen = o.amount_fen,
            paid_attempt_no = w.attempt_no, paid_channel = w.channel, channel_trade_no = w.trade_no,
            paid_at = w.paid_at
        FROM word w WHERE o.order_no = w.order_no AND o.state = 'paying' AND o.version = w.version
        RETURNING o.order_no, w.now),
    told AS (
        INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
        SELECT order_no, 'attempt', attempt_no, old, 'succeeded', 'notice', now FROM succeeded
        UNION ALL SELECT order_no, 'order', order_no, 'paying', 'paid', 'notice', now FROM paid)
    SELECT (SELECT count(*) FROM succeeded), (SELECT count(*) FROM paid)
"""


async def _write(connection: RawConnection, settled: Sequence[_Paid]) -> None:
    """Write what plain notices do: rows of attempts, ledger, orders, history and outbox."""
    postings = [_posting(each) for each in settled]
    columns = (
        texts(each.held.order_no for each in settled),
        texts(each.tried.attempt_no for each in settled),
        texts(each.tried.state for each in settled),
        plain(each.held.version for each in settled),
        texts(each.tried.channel for each in settled),
        texts(each.word.found.channel_trade_no for each in settled),
        texts(posting.movement for posting in postings),
        texts(posting.entries[0].account for posting in postings),
        texts(posting.entries[1].account for posting in postings),
        plain(posting.entries[0].amount_fen for posting in postings),
        moments(each.values["paid_at"] for each in settled),
        moments(each.word.now for each in settled),
    )
    cursor = await connection.execute(_WRITE, columns)
    await outbox.write_many(connection, [each for one in settled for each in _news(one)], now=settled[0].word.now)
    if await cursor.fetchone() != (len(settled), len(settled)):
        raise StateEdgeRefused(kind="order", old=OrderState.PAYING, new=OrderState.PAID)


def _news(each: _Paid) -> list[tuple[str, str, dict[str, object]]]:
    now, more = each.word.now, {"attempt_no": each.tried.attempt_no}
    after = history.moved(each.held, OrderState.PAID, now=now, **each.values)
    return news.messages(news.ORDER_PAID, after, sources=news.sources_of(after, {}), now=now, more=more)


def _posting(each: _Paid) -> ledger.Posting:
    return ledger.payment_arrived(
        attempt_no=each.tried.attempt_no,
        shares={each.tried.channel: int(each.tried.amount_fen)},
        institution_id=each.held.institution_id,
        late=False,
        source_kind=each.held.source_kind,
    )
