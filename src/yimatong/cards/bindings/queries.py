"""Every SELECT on bindings. An account's bindings are those of every VUID that it has or had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, Select, func, select

from yimatong.access.caller import Scope
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.bindings.schemas import BankCards, BankCardView, BoundCard, InsuranceCards, InsuranceCardView
from yimatong.cards.errors import BindingNotFound
from yimatong.cards.models import binding, binding_tries
from yimatong.crypto.sealing import Sealer
from yimatong.kit.db import Connection
from yimatong.kit.masking import BankCard, Secret
from yimatong.standards.bank_cards import BANKS

BANK_CARD = "bank_card"
INSURANCE_CARDS = ("social_card", "cooperative_card")
LIVE = ("started", "confirmed")


def aad(vuid: str, binding_id: str) -> bytes:
    """Bind a sealed number to its row."""
    return f"cards_binding:{vuid}:{binding_id}".encode()


def agreement_aad(vuid: str, binding_id: str) -> bytes:
    """Bind a sealed agreement number to its row."""
    return f"cards_binding.agreement:{vuid}:{binding_id}".encode()


async def bound_cards(connection: Connection, sealer: Sealer, vuid: str, *, scope: Scope) -> list[BoundCard]:
    """Return the bank cards that an active account may pay with (快捷支付), the default one first.

    Raises:
        AccountNotFound: none, or not this caller's. SealBroken: a row was edited.
    """
    row = await accounts.held(connection, vuid, scope=scope)
    if row.state != "active":
        return []
    rows = await _of_group(connection, row.vuid, (BANK_CARD,), ("confirmed",))
    return [
        BoundCard(
            binding_id=each.binding_id,
            bank=each.issuer,
            kind=each.card_kind,
            number=BankCard(sealer.unseal(each.sealed, aad(each.vuid, each.binding_id)).decode()),
            agreement_no=Secret(sealer.unseal(each.agreement, agreement_aad(each.vuid, each.binding_id)).decode()),
            is_default=each.is_default,
        )
        for each in sorted(rows, key=lambda each: (not each.is_default, each.made_at))
    ]


async def bank_cards(connection: Connection, vuid: str, *, scope: Scope) -> BankCards:
    """Return an account's bank cards, masked.

    Raises:
        AccountNotFound: none, or not this caller's.
    """
    row = await accounts.held(connection, vuid, scope=scope)
    rows = await _of_group(connection, row.vuid, (BANK_CARD,))
    return BankCards(vuid=row.vuid, cards=[bank_card_view(each) for each in rows])


async def insurance_cards(connection: Connection, vuid: str, *, scope: Scope) -> InsuranceCards:
    """Return an account's insurance cards, masked.

    Raises:
        AccountNotFound: none, or not this caller's.
    """
    row = await accounts.held(connection, vuid, scope=scope)
    rows = await _of_group(connection, row.vuid, INSURANCE_CARDS)
    return InsuranceCards(vuid=row.vuid, cards=[insurance_card_view(each) for each in rows])


def bank_card_view(row: Row[Any]) -> BankCardView:
    """Return what a caller sees of a bank card."""
    zh, en = BANKS.get(row.issuer, (row.issuer, row.issuer))
    return BankCardView(
        binding_id=row.binding_id,
        state=row.state,
        pending=row.pending is not None and row.state in LIVE,
        number=BankCard(row.tail).masked,
        bank=row.issuer,
        bank_zh=zh,
        bank_en=en,
        kind=row.card_kind,
        challenge=row.challenge or "",
        sent_to=row.sent_to,
        tries_left=row.tries_left,
        expires_at=row.expires_at,
        is_default=row.is_default,
        reason=row.reason or "",
        made_at=row.made_at,
        confirmed_at=row.confirmed_at,
        ended_at=row.ended_at,
    )


def insurance_card_view(row: Row[Any]) -> InsuranceCardView:
    """Return what a caller sees of an insurance card."""
    return InsuranceCardView(
        binding_id=row.binding_id,
        kind=row.kind,
        state=row.state,
        pending=row.pending is not None and row.state in LIVE,
        number=BankCard(row.tail).masked,
        insurance=row.card_kind,
        place=row.place,
        reason=row.reason or "",
        made_at=row.made_at,
        confirmed_at=row.confirmed_at,
        ended_at=row.ended_at,
    )


async def view(connection: Connection, binding_id: str) -> BankCardView | InsuranceCardView:
    """Return one binding as its caller sees it.

    Raises:
        BindingNotFound: none.
    """
    row = await by_id(connection, binding_id)
    if row is None:
        raise BindingNotFound
    return bank_card_view(row) if row.kind == BANK_CARD else insurance_card_view(row)


async def by_id(connection: Connection, binding_id: str, *, for_update: bool = False) -> Row[Any] | None:
    """Return a binding, or None."""
    query = select(binding).where(binding.c.binding_id == binding_id)
    return (await connection.execute(query.with_for_update() if for_update else query)).first()


async def of_account(
    connection: Connection, vuid: str, binding_id: str, kinds: Sequence[str], *, for_update: bool = False
) -> Row[Any]:
    """Return a binding of an account, whichever of its VUIDs it was made under.

    Raises:
        BindingNotFound: none of this account. AccountNotFound: no such account.
    """
    row = await by_id(connection, binding_id, for_update=for_update)
    if row is None or row.kind not in kinds or row.vuid not in await accounts.group(connection, vuid):
        raise BindingNotFound
    return row


async def live_card(connection: Connection, kind: str, blind: bytes) -> Row[Any] | None:
    """Return the live binding of a card, whosever, or None."""
    query = select(binding).where(binding.c.kind == kind, binding.c.number_blind == blind, binding.c.state.in_(LIVE))
    return (await connection.execute(query)).first()


async def live_of_group(
    connection: Connection, vuid: str, kinds: Sequence[str], *, for_update: bool = False
) -> Sequence[Row[Any]]:
    """Return an account's live bindings, oldest first."""
    return await _of_group(connection, vuid, kinds, LIVE, for_update=for_update)


async def started_since(connection: Connection, vuid: str, moment: datetime) -> int:
    """Return how many bindings were started for an account since a moment."""
    query: Select[int] = select(func.count()).where(
        binding.c.vuid.in_(await accounts.group(connection, vuid)), binding.c.made_at >= moment
    )
    return int((await connection.execute(query)).scalar_one())


async def wrong_tries(connection: Connection, vuid: str, day: date) -> int:
    """Return how often the proof for unbinding was wrong on a Beijing day."""
    query = select(func.coalesce(func.sum(binding_tries.c.wrong), 0)).where(
        binding_tries.c.vuid.in_(await accounts.group(connection, vuid)), binding_tries.c.day == day
    )
    return int((await connection.execute(query)).scalar_one())


async def due(connection: Connection, *, now: datetime, limit: int) -> Sequence[str]:
    """Return bindings about which an issuer is to be asked now."""
    rows = await connection.execute(
        select(binding.c.binding_id).where(binding.c.ask_at <= now).order_by(binding.c.ask_at).limit(limit)
    )
    return rows.scalars().all()


async def _of_group(
    connection: Connection,
    vuid: str,
    kinds: Sequence[str],
    states: Sequence[str] | None = None,
    *,
    for_update: bool = False,
) -> Sequence[Row[Any]]:
    query = (
        select(binding)
        .where(binding.c.vuid.in_(await accounts.group(connection, vuid)), binding.c.kind.in_(kinds))
        .order_by(binding.c.state.not_in(LIVE), binding.c.made_at, binding.c.binding_id)
    )
    if states is not None:
        query = query.where(binding.c.state.in_(states))
    return (await connection.execute(query.with_for_update() if for_update else query)).all()
