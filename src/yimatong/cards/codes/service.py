"""Verbs of codes off the coalesced path: issue one in any form, and revoke."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy import delete, update

from yimatong.access.caller import Caller
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.codes import policies
from yimatong.cards.codes.issuing import Order, Usable, make_many
from yimatong.cards.codes.schemas import IssuedCode, Revoked
from yimatong.cards.errors import TokenNotAllowed
from yimatong.cards.models import account, code_use
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection, raw
from yimatong.kit.errors import PlatformError

_TOKEN = re.compile(r"P\.[A-Za-z0-9._~=/+-]{1,210}", re.ASCII)


async def issue(connection: Connection, vault: Vault, order: Order) -> IssuedCode:
    """Issue a static, dynamic or offline code of an account that the scope holds, and record it.

    A dynamic code is good from its own second on. A former VUID gets a code of the account of today. Beyond what
    ``issuing.issue_many`` knows, whoever holds the account of a guardian may show the codes of her family.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled, StaticCodeSwitchedOff; OfflineNotForClass;
        NotOpenToApplication, LifetimeTooLong: the application's policy. KeyNotFound: no key that signs offline codes.
    """
    row = await accounts.held(connection, order.wanted.vuid, scope=order.scope, guardian_at=order.now)
    policy = await policies.of_issuer(connection, order.issuer_id, scope=order.scope)
    usable = Usable(row.vuid, row.state, row.static_allowed, policy)
    (made,) = await make_many(await raw(connection), vault, [(order, usable)])
    if isinstance(made, PlatformError):
        raise made
    return made


async def issue_with_token(connection: Connection, vault: Vault, order: Order) -> IssuedCode:
    """Issue a two-in-one code (二码合一): a dynamic code that carries a payment provider's data, ``P.`` and its text.

    The token's digest is kept with the nonce, so that the code is genuine with this very token only. The ``kind`` of
    what is wanted does not matter.

    Raises:
        TokenNotAllowed: the token cannot stand in a code. Others as for ``issue``.
    """
    if not _TOKEN.fullmatch(order.token):
        raise TokenNotAllowed
    return await issue(connection, vault, order)


async def revoke(connection: Connection, vuid: str, *, caller: Caller, now: datetime) -> Revoked:
    """Revoke every dynamic, two-in-one and offline code of a person's account that was issued before the next second.

    Whatever other VUIDs the account has or had are revoked with it.

    Raises:
        AccountNotFound: none, or not this caller's.
    """
    row = await accounts.held(connection, vuid, scope=caller.scope, for_update=True)
    valid_from = datetime.fromtimestamp(int(now.timestamp()) + 1, UTC)
    await connection.execute(
        update(account)
        .where(account.c.vuid.in_(await accounts.group(connection, row.vuid)), account.c.state != "cancelled")
        .values(codes_valid_from=valid_from, changed_at=now)
    )
    return Revoked(vuid=row.vuid, codes_valid_from=valid_from)


async def forget_uses(connection: Connection, *, now: datetime) -> int:
    """Remove uses of codes whose window has closed for good; return how many."""
    done = await connection.execute(delete(code_use).where(code_use.c.forget_at < int(now.timestamp())))
    return int(done.rowcount)
