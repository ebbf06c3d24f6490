"""The double-entry ledger: postings as pure values, and one function that books them.

Accounts (debits positive, credits negative; every movement adds up to zero):

- ``channel:<channel>:<institution>``: what the channel owes the hospital
- ``hospital:<institution>:receivable``: what patients owed the hospital; credited when they pay
- ``suspense:late:<institution>``: money that belongs to no open order and goes back to its payer
- ``transit:refund:<institution>``: refunds that were asked for and have not arrived

Nothing is ever changed or removed: what was wrong is put right by another movement. There is no stored balance that
could drift from its entries.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import func, insert, select

from yimatong.kit.db import Connection
from yimatong.payments.errors import LedgerUnbalanced
from yimatong.payments.models import ledger_entry, ledger_transaction


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


def payment_arrived(*, attempt_no: str, channel: str, institution_id: str, amount_fen: int, late: bool) -> Posting:
    """Return the posting of a payment: to the hospital's bill, or to suspense when it is late."""
    return transfer(
        f"{'late' if late else 'paid'}:{attempt_no}",
        debit=channel_account(channel, institution_id),
        credit=suspense(institution_id) if late else receivable(institution_id),
        amount_fen=amount_fen,
    )


def refund_asked(*, refund_no: str, institution_id: str, amount_fen: int, late: bool) -> Posting:
    """Return the posting of a refund on its way."""
    return transfer(
        f"refund_asked:{refund_no}",
        debit=suspense(institution_id) if late else receivable(institution_id),
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


def refund_dropped(*, refund_no: str, institution_id: str, amount_fen: int, late: bool) -> Posting:
    """Return the posting of a refund that the channel declined for good: the money is where it was."""
    return transfer(
        f"refund_dropped:{refund_no}",
        debit=transit(institution_id),
        credit=suspense(institution_id) if late else receivable(institution_id),
        amount_fen=amount_fen,
    )


async def post(connection: Connection, order_no: str, posting: Posting, *, now: datetime) -> None:
    """Book a movement in the open transaction; the order is locked by the caller.

    Raises:
        LedgerUnbalanced: debits and credits differ.
        sqlalchemy.exc.IntegrityError: the movement was booked before (callers move a state first, so never by intent).
    """
    if len(posting.entries) < 2 or sum(entry.amount_fen for entry in posting.entries) != 0:  # noqa: PLR2004 -- double entry
        raise LedgerUnbalanced(audit=posting.movement)
    await connection.execute(insert(ledger_transaction).values(order_no=order_no, movement=posting.movement, at=now))
    await connection.execute(
        insert(ledger_entry),
        [
            {
                "order_no": order_no,
                "movement": posting.movement,
                "line": line,
                "account": entry.account,
                "amount_fen": entry.amount_fen,
                "at": now,
            }
            for line, entry in enumerate(posting.entries, start=1)
        ],
    )


async def balances(connection: Connection, *, institution_id: str | None = None) -> dict[str, int]:
    """Return the balance in fen of every account (of one institution), by account; they add up to zero."""
    query = select(ledger_entry.c.account, func.sum(ledger_entry.c.amount_fen)).group_by(ledger_entry.c.account)
    if institution_id is not None:
        own = [receivable(institution_id), suspense(institution_id), transit(institution_id)]
        channels = channel_account("%", institution_id)
        query = query.where(ledger_entry.c.account.like(channels) | ledger_entry.c.account.in_(own))
    return {row[0]: int(row[1]) for row in await connection.execute(query)}
