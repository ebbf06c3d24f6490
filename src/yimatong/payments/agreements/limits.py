"""Who may pay under an agreement, and how much: checked where the attempt is recorded, in the same transaction.

The agreement's row is locked after the order's, so two payments of one evening are counted one after the other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from yimatong.access.caller import PLATFORM
from yimatong.cards.accounts import queries as cards
from yimatong.cards.family import queries as families
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.kit.money import yuan
from yimatong.payments.agreements import bound, queries
from yimatong.payments.cashier.service import Extra
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.errors import AgreementLimitExceeded, AgreementNotUsable, PayerNotProven

PURPOSE = "payment-agreements"


async def admit(
    connection: Connection, vault: Vault, held: Row[Any], agreement_id: str, *, account_id: str, now: datetime
) -> str:
    """Return the channel's number of an agreement by which an order's own part may be paid now.

    Raises:
        AgreementNotFound. AgreementNotUsable: not agreed, or of another merchant account.
        PayerNotProven: whose agreement it is neither is the patient nor manages her card.
        AgreementLimitExceeded: one payment, or those of the day, beyond what was agreed.
    """
    row, number, limits_fen = await _usable(connection, vault, agreement_id, account_id=account_id)
    await require_payer(connection, held, row.vuid)
    single_fen, daily_fen = limits_fen
    spent_fen = await queries.spent_today(connection, agreement_id, besides=held.order_no, now=now)
    left_fen = min(single_fen, daily_fen - spent_fen)
    if held.cash_fen > left_fen:
        raise AgreementLimitExceeded(left=yuan(max(left_fen, 0)))
    return number


async def _usable(
    connection: Connection, vault: Vault, agreement_id: str, *, account_id: str
) -> tuple[Row[Any], str, tuple[int, int]]:
    """Lock an agreement or a bound card that may pay; return its row, the channel's number and its limits."""
    if bound.names_card(agreement_id):
        row = await bound.row_of(connection, agreement_id, scope=PLATFORM, for_update=True)
        number = await bound.number_of(connection, vault, row)
        return row, number, (bound.SINGLE_LIMIT_FEN, bound.DAILY_LIMIT_FEN)
    row = await queries.row_of(connection, agreement_id, scope=PLATFORM, for_update=True)
    if row.state != "agreed" or row.account_id != account_id:
        raise AgreementNotUsable(state=row.state)
    number = (await vault.sealer(PURPOSE)).unseal(row.agreement_no_sealed, number_aad(agreement_id)).decode()
    return row, number, (row.single_limit_fen, row.daily_limit_fen)


def admission(vault: Vault, agreement_id: str, *, answer: str = "", now: datetime) -> Extra:
    """Return what a payment under an agreement needs beside the attempt."""

    async def check(connection: Connection, held: Row[Any], account: ChannelAccount) -> str:
        return await admit(connection, vault, held, agreement_id, account_id=account.account_id, now=now)

    return Extra(agreement_id=agreement_id, answer=answer, admit=check)


async def require_payer(connection: Connection, held: Row[Any], payer_vuid: str) -> None:
    """Check that a resident may pay an order: the patient herself, or who manages her card (a parent for a child).

    Raises:
        PayerNotProven: neither.
    """
    if held.vuid is None:
        raise PayerNotProven
    payer = await cards.latest(connection, payer_vuid)
    patient = await cards.latest(connection, held.vuid)
    if payer.vuid != patient.vuid and await families.between(connection, payer.mpi, patient.mpi) is None:
        raise PayerNotProven


def number_aad(agreement_id: str) -> bytes:
    """Bind a sealed agreement number to its row."""
    return f"payments_agreement.no:{agreement_id}".encode()


def request_aad(agreement_id: str) -> bytes:
    """Bind a sealed request to its row."""
    return f"payments_agreement.request:{agreement_id}".encode()
