"""Verbs of card accounts: what changes one that exists. New ones come by ``registration``."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, update

from yimatong.access import sessions
from yimatong.access.caller import Caller
from yimatong.cards.accounts import queries
from yimatong.cards.accounts.schemas import AccountState, PageLink
from yimatong.cards.errors import AccountCancelled, AccountFrozen
from yimatong.cards.models import account, account_event
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id

LINK_S = 300


async def change_state(connection: Connection, vuid: str, state: str, *, caller: Caller, now: datetime) -> AccountState:
    """Freeze, release or cancel an account; its codes die at once when it is frozen or cancelled.

    Raises:
        AccountNotFound: none, or not this caller's. AccountCancelled: cancelled accounts do not change any more.
    """
    row = await queries.held(connection, vuid, scope=caller.scope, for_update=True)
    if row.state == "cancelled":
        raise AccountCancelled
    if row.state != state:
        await connection.execute(
            update(account)
            .where(account.c.vuid == vuid, account.c.generation == row.generation)
            .values(state=state, codes_valid_from=now, changed_at=now)
        )
        await _note(connection, vuid, state, caller=caller, now=now)
    return AccountState(vuid=vuid, state=state, changed_at=now)


async def make_page_link(connection: Connection, vuid: str, *, caller: Caller, web_url: str, now: datetime) -> PageLink:
    """Make a one-time link to the resident's own card page.

    Raises:
        AccountNotFound: none, or not this caller's. AccountFrozen, AccountCancelled.
    """
    row = await queries.held(connection, vuid, scope=caller.scope)
    if row.state == "frozen":
        raise AccountFrozen
    if row.state == "cancelled":
        raise AccountCancelled
    token = await sessions.make_link(connection, subject=vuid, purpose="card", lifetime_s=LINK_S, now=now)
    return PageLink(url=f"{web_url}/card/open/{token}", expires_in_s=LINK_S)


async def _note(connection: Connection, vuid: str, what: str, *, caller: Caller, now: datetime) -> None:
    await connection.execute(
        insert(account_event).values(vuid=vuid, event_id=new_id("aev"), what=what, actor=caller.caller_id, at=now)
    )
