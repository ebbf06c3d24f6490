"""Verbs on the state of an account: freeze, release, cancel, a death reported or taken back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Row, update

from yimatong.cards.accounts import history, queries
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.schemas import AccountState, StateChange
from yimatong.cards.bindings import settling as bindings
from yimatong.cards.errors import AccountCancelled, DeathNeedsInstitution, FreezeByStronger
from yimatong.cards.models import account
from yimatong.cards.registry.service import announce
from yimatong.crypto.vault import Vault
from yimatong.empi.cancelling import service as cancelling
from yimatong.empi.cancelling.service import Wanted
from yimatong.empi.errors import BirthDateImpossible
from yimatong.empi.persons import queries as persons
from yimatong.empi.subscriptions import service as subscriptions
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection

_ATTESTS = history.STRENGTHS["institution"]


async def change_state(
    connection: Connection, vault: Vault, vuid: str, wanted: StateChange, *, origin: Origin, now: datetime
) -> AccountState:
    """Freeze, release or cancel an account and whatever else is an account of the same person.

    Its codes die at once when it is frozen or cancelled; what the resident had herself told ends when it is cancelled.
    A freeze is taken back by the party that made it or by a stronger one; a frozen account is cancelled by those only,
    else cancelling and registering again would go round it.
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
        members = await persons.members(connection, row.mpi)
        await connection.execute(
            update(account)
            .where(
                account.c.mpi.in_(members),
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
        if wanted.state == "cancelled":
            await bindings.end_all(connection, await vault.sealer(), row.vuid, origin=origin, now=now)
            await subscriptions.end_resident(connection, members, now=now)
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
    if not (person.birth_date or date.min) <= wanted.died_on <= business_date(now):
        raise BirthDateImpossible
    died = Wanted(reason="death", died_on=wanted.died_on, operator=origin.actor)
    await cancelling.cancel(connection, person.mpi, died, now=now)


async def take_back_death(connection: Connection, vault: Vault, vuid: str, *, origin: Origin, now: datetime) -> None:
    """Take a wrong report of a death back (card office): the resident can be registered again, with the same VUID.

    Raises:
        AccountNotFound: none. FreezeByStronger: not the card office. NotCancelled: no death was reported.
    """
    row = await queries.held(connection, vuid, scope=origin.scope, for_update=True)
    if origin.strength < history.STRENGTHS["operator"]:
        raise FreezeByStronger
    person = await persons.current(connection, row.mpi)
    sealer, blinder = await vault.sealer(), await vault.blinder()
    await cancelling.restore(
        connection,
        person.mpi,
        operator=origin.actor,
        reason="death_taken_back",
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    await history.note(
        connection,
        await vault.sealer(),
        row.vuid,
        "death_taken_back",
        origin=origin,
        now=now,
        before={"died_on": person.deceased_on or ""},
    )
