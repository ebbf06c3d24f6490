"""Verbs of card accounts: what changes one that exists. New ones come by ``registration``."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update

from yimatong.access import sessions
from yimatong.access.caller import Caller
from yimatong.access.webhooks import Destinations
from yimatong.cards.accounts import history, queries
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.schemas import PageLink
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AliasNotFound,
)
from yimatong.cards.models import account
from yimatong.crypto.vault import Vault
from yimatong.empi.subscriptions import service as subscriptions
from yimatong.empi.subscriptions.schemas import ResidentSubscription, Subscription
from yimatong.kit.db import Connection

LINK_S = 300


async def switch_alias(
    connection: Connection, vault: Vault, vuid: str, alias: str, *, on: bool, origin: Origin, now: datetime
) -> None:
    """Switch an earlier VUID of an account off (lost label) or on again; its codes die or live with the commit.

    Raises:
        AccountNotFound: none, or not this caller's. AliasNotFound: not an earlier VUID of this account.
    """
    row = await queries.held(connection, vuid, scope=origin.scope, for_update=True)
    done = await connection.execute(
        update(account)
        .where(account.c.vuid == alias, account.c.alias_of == row.vuid)
        .values(alias_on=on, changed_at=now)
        .returning(account.c.vuid)
    )
    if done.first() is None:
        raise AliasNotFound
    await history.note(
        connection,
        await vault.sealer(),
        row.vuid,
        "alias_on" if on else "alias_off",
        origin=origin,
        now=now,
        after={"alias": f"{alias[:4]}…{alias[-4:]}"},
    )


async def make_page_link(connection: Connection, vuid: str, *, caller: Caller, web_url: str, now: datetime) -> PageLink:
    """Make a one-time link to the resident's own card page; a guardian's app may, too.

    Raises:
        AccountNotFound: none, or not this caller's. AccountFrozen, AccountCancelled.
    """
    row = await queries.held(connection, vuid, scope=caller.scope, guardian_at=now)
    if row.state == "frozen":
        raise AccountFrozen
    if row.state == "cancelled":
        raise AccountCancelled
    token = await sessions.make_link(connection, subject=row.vuid, purpose="card", lifetime_s=LINK_S, now=now)
    return PageLink(url=f"{web_url}/card/open/{token}", expires_in_s=LINK_S)


async def follow_record(
    connection: Connection,
    vault: Vault,
    vuid: str,
    wanted: ResidentSubscription,
    *,
    caller: Caller,
    destinations: Destinations,
    now: datetime,
) -> Subscription:
    """Let a resident be told, by the app that holds her account, of what happens to her record in the person index.

    Raises:
        AccountNotFound: none, or not this caller's. AccountFrozen, AccountCancelled. WebhookAddressRefused.
    """
    row = await queries.held(connection, vuid, scope=caller.scope)
    if row.state == "frozen":
        raise AccountFrozen
    if row.state == "cancelled":
        raise AccountCancelled
    return await subscriptions.subscribe_resident(
        connection, vault, wanted, mpi=row.mpi, caller=caller, destinations=destinations, now=now
    )
