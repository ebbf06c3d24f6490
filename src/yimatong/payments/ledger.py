"""The double-entry ledger: postings as pure values, and one function that books them.

Accounts (debits positive, credits negative; every movement adds up to zero):

- ``channel:<channel>:<institution>``: what the channel owes the hospital
- ``hospital:<institution>:receivable``: what patients owed the hospital; credited when they pay
- ``hospital:<institution>:deposits``: what the hospital holds for inpatients until their stay is settled (预交金)
- ``suspense:late:<institution>``: money that belongs to no open order and goes back to its payer
- ``transit:refund:<institution>``: refunds that were asked for and have not arrived

Nothing is ever changed or removed: what was wrong is put right by another movement. There is no stored balance that
could drift from its entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import func, select

from yimatong.kit.db import Connection
from yimatong.kit.together import Piece, together
from yimatong.payments.errors import LedgerUnbalanced
from yimatong.payments.models import ledger_entry
from yimatong.payments.sources import DEPOSIT


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line: debits positive, credits negative."""

    account: str
    amount_fen: int


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of an order. ``movement`` is its key: booked once, however often it is tried."""

    movement: str
    entries: tuple[Entry, ...]


def channel_account(channel: str, institution_id: str) -> str:
    """Return the ledger account of a channel's debt to a hospital."""
    return f"channel:{channel}:{institution_id}"


def receivable(institution_id: str) -> str:
    """Return the ledger account of a hospital's bills."""
    return f"hospital:{institution_id}:receivable"


def deposits(institution_id: str) -> str:
    """Return the ledger account of inpatients' deposits, a debt of the hospital."""
    return f"hospital:{institution_id}:deposits"


def home(institution_id: str, *, source_kind: str, late: bool) -> str:
    """Return the account that an order's money belongs to: bills or deposits, or suspense when it is late."""
    if late:
        return suspense(institution_id)
    return deposits(institution_id) if source_kind == DEPOSIT else receivable(institution_id)


def suspense(institution_id: str) -> str:
    """Return the ledger account of late money."""
    return f"suspense:late:{institution_id}"


def transit(institution_id: str) -> str:
    """Return the ledger account of refunds on their way."""
    return f"transit:refund:{institution_id}"


def transfer(movement: str, *, debit: str, credit: str, amount_fen: int) -> Posting:
    """Return the posting of one amount from one account to another."""
    return Posting(
        movement=movement,
        entries=(Entry(account=debit, amount_fen=amount_fen), Entry(account=credit, amount_fen=-amount_fen)),
    )


def payment_arrived(
    *, attempt_no: str, shares: Mapping[str, int], institution_id: str, late: bool, source_kind: str = ""
) -> Posting:
    """Return the posting of a payment: to the hospital's bill or the patient's deposit, or to suspense when it is late.

    ``shares`` is what each channel owes of it, in fen: one channel, or a channel and the insurer behind it.
    """
    debits = [Entry(account=channel_account(name, institution_id), amount_fen=fen) for name, fen in shares.items()]
    other = home(institution_id, source_kind=source_kind, late=late)
    return Posting(
        movement=f"{'late' if late else 'paid'}:{attempt_no}",
        entries=(*debits, Entry(account=other, amount_fen=-sum(shares.values()))),
    )


def refund_asked(*, refund_no: str, institution_id: str, amount_fen: int, late: bool, source_kind: str = "") -> Posting:
    """Return the posting of a refund on its way."""
    return transfer(
        f"refund_asked:{refund_no}",
        debit=home(institution_id, source_kind=source_kind, late=late),
        credit=transit(institution_id),
        amount_fen=amount_fen,
    )


def refund_arrived(*, refund_no: str, channel: str, institution_id: str, amount_fen: int) -> Posting:
    """Return the posting of a refund that reached the payer."""
    return transfer(
        f"refund_arrived:{refund_no}",
        debit=transit(institution_id),
        credit=channel_account(channel, institution_id),
        amount_fen=amount_fen,
    )


def refund_dropped(
    *, refund_no: str, institution_id: str, amount_fen: int, late: bool, source_kind: str = ""
) -> Posting:
    """Return the posting of a refund that the channel declined for good: the money is where it was."""
    return transfer(
        f"refund_dropped:{refund_no}",
        debit=transit(institution_id),
        credit=home(institution_id, source_kind=source_kind, late=late),
        amount_fen=amount_fen,
    )


def deposit_used(*, key: str, institution_id: str, amount_fen: int) -> Posting:
    """Return the posting by which a deposit pays a bill when the stay is settled; ``key`` names the settlement."""
    return transfer(
        f"deposit_used:{key}",
        debit=deposits(institution_id),
        credit=receivable(institution_id),
        amount_fen=amount_fen,
    )


async def post(connection: Connection, order_no: str, posting: Posting, *, now: datetime) -> None:
    """Book a movement in the open transaction; the order is locked by the caller.

    Raises:
        LedgerUnbalanced: debits and credits differ.
        sqlalchemy.exc.IntegrityError: the movement was booked before (callers move a state first, so never by intent).
    """
    await together(connection, booking(order_no, posting, now=now))


def booking(order_no: str, posting: Posting, *, now: datetime) -> Piece:
    """Return the piece of :func:`post`, for a statement that writes more.

    Raises:
        LedgerUnbalanced: debits and credits differ.
    """
    if len(posting.entries) < 2 or sum(entry.amount_fen for entry in posting.entries) != 0:  # noqa: PLR2004 -- double entry
        raise LedgerUnbalanced(audit=posting.movement)
    return Piece(
        _POST,
        {
            "order_no": order_no,
            "movement": posting.movement,
            "accounts": [entry.account for entry in posting.entries],
            "amounts": [entry.amount_fen for entry in posting.entries],
            "at": now,
        },
    )


_POST: Final = """
    @movement AS (
        INSERT INTO payments_ledger_transaction (order_no, movement, at) VALUES (:order_no, :movement, :at)
        RETURNING order_no, movement, at),
    @entries AS (
        INSERT INTO payments_ledger_entry (order_no, movement, line, account, amount_fen, at)
        SELECT m.order_no, m.movement, e.line, e.account, e.amount_fen, m.at
        FROM @movement m,
             unnest(cast(:accounts AS text[]), cast(:amounts AS bigint[])) WITH ORDINALITY
             AS e (account, amount_fen, line))
    """


async def balances(connection: Connection, *, institution_id: str | None = None) -> dict[str, int]:
    """Return the balance in fen of every account (of one institution), by account; they add up to zero."""
    query = select(ledger_entry.c.account, func.sum(ledger_entry.c.amount_fen)).group_by(ledger_entry.c.account)
    if institution_id is not None:
        own = [each(institution_id) for each in (receivable, deposits, suspense, transit)]
        channels = channel_account("%", institution_id)
        query = query.where(ledger_entry.c.account.like(channels) | ledger_entry.c.account.in_(own))
    return {row[0]: int(row[1]) for row in await connection.execute(query)}
