"""Verbs of card accounts: what changes one that exists. New ones come by ``registration``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, update

from yimatong.access import sessions
from yimatong.access.caller import Caller
from yimatong.cards.accounts import history, queries
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.schemas import AccountState, PageLink, StateChange
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AliasNotFound,
    DeathNeedsInstitution,
    FreezeByStronger,
)
from yimatong.cards.models import account
from yimatong.cards.registry.service import announce
from yimatong.crypto.vault import Vault
from yimatong.empi.changes import service as index
from yimatong.empi.errors import BirthDateImpossible
from yimatong.empi.persons import queries as persons
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection

LINK_S = 300
_ATTESTS = history.STRENGTHS["institution"]


async def change_state(
    connection: Connection, vault: Vault, vuid: str, wanted: StateChange, *, origin: Origin, now: datetime
) -> AccountState:
    """Freeze, release or cancel an account and whatever else is an account of the same person.

    Its codes die at once when it is frozen or cancelled. A freeze is taken back by the party that made it or by a
    stronger one; a frozen account is cancelled by those only, else cancelling and registering again would go round it.
    A stronger party's freeze takes the place of a weaker one's.

    Raises:
        AccountNotFound: none, or not this caller's. AccountCancelled: cancelled accounts do not change any more.
        FreezeByStronger: another party's freeze. DeathNeedsInstitution: an app cannot report a death.
    """
    row = await queries.held(connection, vuid, scope=origin.scope, for_update=True)
    if row.state == "cancelled":
        raise AccountCancelled
    if wanted.reason == "deceased" or wanted.died_on is not None:
        await _report_death(connection, row, wanted, origin=origin, now=now)
    if row.state == "frozen" and wanted.state != "frozen":
        _require_right(row, origin)
    escalates = row.state == wanted.state == "frozen" and origin.strength > (row.frozen_strength or 0)
    if row.state != wanted.state or escalates:
        frozen = wanted.state == "frozen"
        await connection.execute(
            update(account)
            .where(
                account.c.mpi.in_(await persons.members(connection, row.mpi)),
                account.c.state.not_in(("cancelled", "alias")),
            )
            .values(
                state=wanted.state,
                reason=None if wanted.state == "active" else wanted.reason,
                frozen_by=origin.holder if frozen else None,
                frozen_strength=origin.strength if frozen else None,
                codes_valid_from=account.c.codes_valid_from if wanted.state == "active" else after(now),
                changed_at=now,
            )
        )
        await history.note(
            connection,
            await vault.sealer(),
            row.vuid,
            wanted.state,
            origin=origin,
            now=now,
            before={"state": row.state},
            after={"state": wanted.state},
            reason=wanted.reason,
        )
        await announce(connection, [row.vuid], now=now)
    return AccountState(vuid=row.vuid, state=wanted.state, changed_at=now)


def after(now: datetime) -> datetime:
    """Return the next whole second: a code says its second only, so one of this very second dies with the others."""
    return datetime.fromtimestamp(int(now.timestamp()) + 1, UTC)


def _require_right(row: Row[Any], origin: Origin) -> None:
    if origin.holder != row.frozen_by and origin.strength <= (row.frozen_strength or 0):
        raise FreezeByStronger


async def _report_death(
    connection: Connection, row: Row[Any], wanted: StateChange, *, origin: Origin, now: datetime
) -> None:
    complete = wanted.state == "cancelled" and wanted.reason == "deceased" and wanted.died_on is not None
    if wanted.died_on is None or not complete or origin.strength < _ATTESTS:
        raise DeathNeedsInstitution
    person = await persons.current(connection, row.mpi)
    if not person.birth_date <= wanted.died_on <= business_date(now):
        raise BirthDateImpossible(birth_date=wanted.died_on.isoformat())
    await index.report_death(connection, person.mpi, died_on=wanted.died_on, now=now)


async def take_back_death(connection: Connection, vault: Vault, vuid: str, *, origin: Origin, now: datetime) -> None:
    """Take a wrong report of a death back (card office): the resident can be registered again, with the same VUID.

    Raises:
        AccountNotFound: none. FreezeByStronger: not the card office.
    """
    row = await queries.held(connection, vuid, scope=origin.scope, for_update=True)
    if origin.strength < history.STRENGTHS["operator"]:
        raise FreezeByStronger
    person = await persons.current(connection, row.mpi)
    await index.report_death(connection, person.mpi, died_on=None, now=now)
    await history.note(
        connection,
        await vault.sealer(),
        row.vuid,
        "death_taken_back",
        origin=origin,
        now=now,
        before={"died_on": person.deceased_on or ""},
    )


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
