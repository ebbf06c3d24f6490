"""Every SELECT on card accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text

from yimatong.access.caller import Scope
from yimatong.cards.accounts import relations
from yimatong.cards.accounts.schemas import AccountView, CardView
from yimatong.cards.codec import static_text
from yimatong.cards.errors import AccountNotFound
from yimatong.cards.models import account, holder
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection

_DEAD = ("cancelled", "alias")


async def lock_persons(connection: Connection, mpis: Iterable[UUID]) -> None:
    """Lock every account that persons have or had, in the one order in which accounts are locked.

    Whoever changes an account does this first. A lock on the account in force alone would be taken before those on
    earlier ones, which a change's announcement takes, and two changes would wait for each other.
    """
    query = select(account.c.vuid).where(account.c.mpi.in_(list(mpis))).order_by(account.c.vuid, account.c.generation)
    await connection.execute(query.with_for_update())


async def live_of_person(connection: Connection, mpi: UUID, *, for_update: bool = False) -> Row[Any] | None:
    """Return the one live account of a person, or None; where the index joined two persons, the older account."""
    mpis = await persons.members(connection, mpi)
    if for_update:
        await lock_persons(connection, mpis)
    query = (
        select(account)
        .where(account.c.mpi.in_(mpis), account.c.state.not_in(_DEAD))
        .order_by(account.c.opened_at, account.c.vuid)
        .limit(1)
    )
    return (await connection.execute(query)).first()


async def any_of_person(connection: Connection, mpi: UUID) -> Row[Any] | None:
    """Return the newest account of a person, cancelled or not: its VUID is kept, never computed again."""
    mpis = await persons.members(connection, mpi)
    query = (
        select(account)
        .where(account.c.mpi.in_(mpis), account.c.state != "alias")
        .order_by(account.c.opened_at.desc())
        .limit(1)
    )
    return (await connection.execute(query)).first()


async def row_of(connection: Connection, vuid: str) -> Row[Any] | None:
    """Return the newest row of this very VUID, alias or not, or None."""
    query = select(account).where(account.c.vuid == vuid).order_by(account.c.generation.desc()).limit(1)
    return (await connection.execute(query)).first()


async def latest(connection: Connection, vuid: str, *, for_update: bool = False) -> Row[Any]:
    """Return the account that a VUID stands for today: an alias leads to the account that took its place.

    A person has one account: where the index joined two persons, the oldest live one of both is meant.
    ``for_update`` locks whatever its person has or had.

    Raises:
        AccountNotFound: none.
    """
    row, mpis = await _today(connection, vuid)
    locked: set[UUID] = set()
    while for_update and not mpis <= locked:  # again only where persons were joined while the lock was waited for
        await lock_persons(connection, mpis)
        locked |= mpis
        row, mpis = await _today(connection, vuid)
    return row


async def _today(connection: Connection, vuid: str) -> tuple[Row[Any], set[UUID]]:
    """Return the account that a VUID stands for, and every person whose accounts had to be looked at."""
    row = await row_of(connection, vuid)
    mpis: set[UUID] = set()
    for _ in range(_STEPS_MAX):
        if row is None or row.state != "alias":
            break
        mpis.add(row.mpi)
        row = await row_of(connection, row.alias_of)
    if row is None or row.state == "alias":
        raise AccountNotFound
    members = await persons.members(connection, row.mpi)
    if len(members) > 1:
        row = await live_of_person(connection, row.mpi) or row
    return row, mpis.union(members, [row.mpi])


_STEPS_MAX = 4
"""Pointers are one step long; a reader that came between two changes may need another one."""


async def group(connection: Connection, vuid: str) -> list[str]:
    """Return every VUID that the account of ``vuid`` has or had, today's first.

    Under these stand its holders, history, labels, codes, visits and orders; nobody rewrites their keys.

    Raises:
        AccountNotFound: none.
    """
    row = await latest(connection, vuid)
    mpis = await persons.members(connection, row.mpi)
    rows = await connection.execute(select(account.c.vuid).distinct().where(account.c.mpi.in_(mpis)))
    return [row.vuid, *sorted(set(rows.scalars()) - {row.vuid})]


async def aliases(connection: Connection, vuid: str) -> Sequence[Row[Any]]:
    """Return the rows of the earlier VUIDs that lead to this one, oldest first."""
    query = select(account).where(account.c.alias_of == vuid).order_by(account.c.changed_at, account.c.vuid)
    return (await connection.execute(query)).all()


async def held(
    connection: Connection,
    vuid: str,
    *,
    scope: Scope,
    for_update: bool = False,
    guardian_at: datetime | None = None,
) -> Row[Any]:
    """Return the account that a VUID stands for if the scope may show it; else it answers like an absent one.

    ``guardian_at``: whoever holds the account of a guardian may, too, as long as the relation shows codes then.

    Raises:
        AccountNotFound: none, or not this holder's.
    """
    row = await latest(connection, vuid, for_update=for_update)
    if scope.all_rows or await holds(connection, row, vuid, scope=scope):
        return row
    if guardian_at is not None:
        for mpi in await relations.guardians_who_show(connection, row.mpi, now=guardian_at):
            theirs = await live_of_person(connection, mpi)
            if theirs is not None and theirs.state == "active" and await holds(connection, theirs, "", scope=scope):
                return row
    raise AccountNotFound


async def holds(connection: Connection, row: Row[Any], asked: str, *, scope: Scope) -> bool:
    """Say whether the scope holds an account, by its VUID of today or by that of a joined person's own account."""
    vuids = {row.vuid}
    if asked and asked != row.vuid:
        own = await row_of(connection, asked)
        if own is not None and own.state != "alias":
            vuids.add(asked)
    found = await connection.execute(
        select(holder.c.vuid).where(holder.c.vuid.in_(vuids), holder.c.holder == holder_of(scope)).limit(1)
    )
    return found.first() is not None


def holder_of(scope: Scope) -> str:
    """Return who holds an account in a scope: the institution, or the app."""
    return scope.institution_id or scope.caller_id


async def proof_level(connection: Connection, vuid: str) -> int:
    """Return the strongest proof that any holder came with."""
    row = await connection.execute(
        select(func.coalesce(func.max(holder.c.real_name_level), 0)).where(holder.c.vuid == vuid)
    )
    return int(row.scalar_one())


async def view(
    connection: Connection, vault: Vault, vuid: str, *, scope: Scope, now: datetime | None = None
) -> AccountView:
    """Return an account to its holder (with ``now``: also to a guardian's), with the resident's data in the clear.

    Raises:
        AccountNotFound: none, or not this holder's.
    """
    row = await held(connection, vuid, scope=scope, guardian_at=now)
    person = await persons.read(connection, await vault.sealer(), row.mpi)
    return AccountView(
        vuid=row.vuid,
        state=row.state,
        name=str.__str__(person.name),
        id_type=person.id_type,
        id_number=str.__str__(person.id_number),
        phone=str.__str__(person.phone),
        mpi_ref=await vault.mpi_ref(holder_of(scope), person.mpi.hex),
        static_code=static_text(row.vuid),
        real_name_level=await proof_level(connection, row.vuid),
        opened_at=row.opened_at,
    )


async def card_view(connection: Connection, vault: Vault, vuid: str) -> CardView:
    """Return what the resident's own page shows.

    Raises:
        AccountNotFound: none.
    """
    row = await latest(connection, vuid)
    person = await persons.read(connection, await vault.sealer(), row.mpi)
    return CardView(
        vuid=row.vuid,
        state=row.state,
        name=person.name,
        id_type=person.id_type,
        id_number=person.id_number,
        phone=person.phone,
        static_allowed=row.static_allowed,
        opened_at=row.opened_at,
    )


async def opened_by_hour(connection: Connection, *, scope: Scope, start: datetime, end: datetime) -> dict[int, int]:
    """Count the accounts opened in a span by hour of the day (Beijing); in a scope, those that its holder came to."""
    at = account.c.opened_at if scope.all_rows else holder.c.since
    hour = func.extract("hour", func.timezone("Asia/Shanghai", at))
    query = select(hour.label("hour"), func.count()).where(at >= start, at < end).group_by(text("1"))
    if scope.all_rows:
        query = query.where(account.c.state != "alias")
    else:
        alias = select(account.c.vuid).where(account.c.vuid == holder.c.vuid, account.c.state == "alias")
        query = query.where(holder.c.holder == holder_of(scope), ~alias.exists())
    return {int(row[0]): row[1] for row in await connection.execute(query)}
