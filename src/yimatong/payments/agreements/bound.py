"""Bound bank cards (快捷支付) as means of payment: the card that a resident bound is her agreement with its bank.

It pays at every hospital that is the bank's merchant, by an SMS code at each payment; its id (``bkc_...``) stands
wherever an agreement's stands. Residents agree to no limits of their own here: those of the platform hold.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row

from yimatong.access.caller import PLATFORM, Scope
from yimatong.cards.accounts import queries as cards
from yimatong.cards.bindings import queries as bindings
from yimatong.cards.errors import AccountNotFound
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.payments import accounts
from yimatong.payments.agreements.schemas import AgreementView
from yimatong.payments.errors import AgreementNotFound, AgreementNotUsable

CHANNEL: Final = "quickpay"
SINGLE_LIMIT_FEN: Final = 500_000
DAILY_LIMIT_FEN: Final = 2_000_000
"""5,000 yuan a payment and 20,000 yuan a day by one card."""
_PREFIX: Final = "bkc_"


def names_card(agreement_id: str) -> bool:
    """Say whether an id is that of a bound bank card."""
    return agreement_id.startswith(_PREFIX)


async def row_of(connection: Connection, binding_id: str, *, scope: Scope, for_update: bool = False) -> Row[Any]:
    """Return the row of a bound bank card, whatever its state.

    Raises:
        AgreementNotFound: none, or its holder's account is not this caller's.
    """
    row = await bindings.by_id(connection, binding_id, for_update=for_update)
    if row is None or row.kind != bindings.BANK_CARD:
        raise AgreementNotFound
    try:
        await cards.held(connection, row.vuid, scope=scope)
    except AccountNotFound as error:
        raise AgreementNotFound from error
    return row


async def number_of(connection: Connection, vault: Vault, row: Row[Any]) -> str:
    """Return the bank's number of the agreement behind a bound card that may pay.

    Raises:
        AgreementNotUsable: not confirmed, taken off, or its holder's account is frozen or cancelled.
    """
    if row.state != "confirmed":
        raise AgreementNotUsable(state=row.state)
    usable = await bindings.bound_cards(connection, await vault.sealer(), row.vuid, scope=PLATFORM)
    for card in usable:
        if card.binding_id == row.binding_id:
            return str.__str__(card.agreement_no)
    raise AgreementNotUsable(state="frozen")


async def offered(connection: Connection, vault: Vault, vuid: str, institution_id: str) -> list[AgreementView]:
    """Return the cards by which a resident can pay at an institution, the default one first, as agreements.

    ``reason`` holds what to call the card: its bank and the end of its number.

    Raises:
        AccountNotFound: no such account.
    """
    if CHANNEL not in await accounts.offered(connection, institution_id):
        return []
    found = await bindings.bank_cards(connection, vuid, scope=PLATFORM)
    known = {each.binding_id: each for each in found.cards}
    usable = await bindings.bound_cards(connection, await vault.sealer(), vuid, scope=PLATFORM)
    return [
        AgreementView(
            agreement_id=card.binding_id,
            vuid=vuid,
            institution_id=institution_id,
            channel=CHANNEL,
            kind="bank_card",
            state="agreed",
            reason=f"{known[card.binding_id].bank_zh} {known[card.binding_id].number}",
            single_limit_fen=SINGLE_LIMIT_FEN,
            daily_limit_fen=DAILY_LIMIT_FEN,
            redirect_url="",
            challenge="",
            agreed_at=known[card.binding_id].confirmed_at,
            ended_at=None,
        )
        for card in usable
    ]
