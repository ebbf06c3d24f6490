"""The verbs of two-in-one codes (二码合一): ask the provider for a token and issue the code, and have a token checked.

The provider is the bank of a bound card: the token is asked for by that binding's agreement, and tied to the nonce of
the very code that will carry it; the code is genuine with no other token. The provider verifies it again when it is
shown, and takes the money by it.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select

from yimatong.access.caller import Caller
from yimatong.cards.accounts import queries as cards
from yimatong.cards.bindings import queries as bindings
from yimatong.cards.bindings.schemas import BoundCard
from yimatong.cards.codes import service as codes
from yimatong.cards.codes.issuing import Order
from yimatong.cards.codes.schemas import IssuedCode, NewCode
from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit.db import Connection
from yimatong.payments import accounts
from yimatong.payments.channels.abilities import TokenGiving
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelRefused, NobodyGivesTokens, TokenRefused
from yimatong.payments.models import token
from yimatong.payments.two_in_one.schemas import NewTwoInOne

CHANNEL: Final = "quickpay"
"""The channel of bound bank cards."""
PLATFORM_INSTITUTION: Final = "platform"
"""In whose name tokens are asked for: the platform's own account at the provider, not a hospital's."""
_NONCE_BYTES: Final = 5
_KEPT: Final = timedelta(days=2)


async def issue(desk: Desk, new: NewTwoInOne, *, caller: Caller, request_id: str, now: datetime) -> IssuedCode:
    """Issue a two-in-one code.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled: as for any code. NobodyGivesTokens: no bound card, or no
        provider. ChannelRefused, PartyUnreachable, PartyOutcomeUnknown: no token, so no code; ask again.
    """
    channel = _giver(desk)
    async with desk.db.read() as connection:
        await cards.held(connection, new.vuid, scope=caller.scope)
        bound = await _card(connection, desk, new, caller=caller)
        account = await accounts.of_institution(connection, desk.vault, PLATFORM_INSTITUTION, CHANNEL)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    given = await channel.give_token(
        account,
        agreement_no=str.__str__(bound.agreement_no),
        nonce=nonce.hex(),
        expires_at=now + timedelta(seconds=new.ttl_s),
        now=now,
    )
    order = Order(
        wanted=NewCode(vuid=new.vuid, code_class="payment", ttl_s=new.ttl_s, image=new.image),
        scope=caller.scope,
        issuer_id=caller.caller_id,
        request_id=request_id,
        now=now,
        token=f"P.{given.token}",
        nonce=nonce,
    )
    async with desk.db.transaction() as connection:
        made = await codes.issue_with_token(connection, desk.vault, order)
        await connection.execute(delete(token).where(token.c.expires_at < now - _KEPT))
        await connection.execute(
            insert(token).values(
                token_digest=sm3(order.token.encode()),
                vuid=new.vuid,
                channel=CHANNEL,
                account_id=account.account_id,
                nonce=nonce.hex(),
                issued_at=now,
                expires_at=given.expires_at,
            )
        )
    return made


async def check(desk: Desk, field: str, *, now: datetime) -> tuple[str, str]:
    """Have the provider verify the token of a code that was verified as genuine; return its channel and the token.

    Raises:
        TokenRefused: not a token of ours, or the provider does not take it. PartyUnreachable, PartyOutcomeUnknown.
    """
    async with desk.db.read() as connection:
        row = (await connection.execute(select(token).where(token.c.token_digest == sm3(field.encode())))).first()
        if row is None:
            raise TokenRefused(audit="no such token")
        account = await accounts.by_id(connection, desk.vault, row.account_id)
    text = field.removeprefix("P.")
    try:
        await _giver(desk).check_token(account, token=text, nonce=row.nonce, now=now)
    except ChannelRefused as error:
        raise TokenRefused(audit=str(error)) from error
    return row.channel, text


def _giver(desk: Desk) -> TokenGiving:
    channel: object = desk.channels.get(CHANNEL)
    if not isinstance(channel, TokenGiving):
        raise NobodyGivesTokens
    return channel


async def _card(connection: Connection, desk: Desk, new: NewTwoInOne, *, caller: Caller) -> BoundCard:
    bound = await bindings.bound_cards(connection, await desk.vault.sealer(), new.vuid, scope=caller.scope)
    for card in bound:
        if new.binding_id in ("", card.binding_id):
            return card
    raise NobodyGivesTokens
