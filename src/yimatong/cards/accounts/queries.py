"""Every SELECT on card accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text

from yimatong.access.caller import Scope
from yimatong.cards.accounts.schemas import AccountView, CardView
from yimatong.cards.codec import static_text
from yimatong.cards.errors import AccountNotFound
from yimatong.cards.models import account, holder
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection


async def live_of_person(connection: Connection, mpi: UUID) -> Row[Any] | None:
    """Return the one live account of a person, or None."""
    return (
        await connection.execute(select(account).where(account.c.mpi == mpi, account.c.state != "cancelled"))
    ).first()


async def any_of_person(connection: Connection, mpi: UUID) -> Row[Any] | None:
    """Return the newest account of a person, cancelled or not: its VUID is kept, never computed again."""
    query = select(account).where(account.c.mpi == mpi).order_by(account.c.opened_at.desc()).limit(1)
    return (await connection.execute(query)).first()


async def generations(connection: Connection, vuid: str) -> int:
    """Return how many accounts this VUID has had."""
    row = await connection.execute(
        select(func.coalesce(func.max(account.c.generation), 0)).where(account.c.vuid == vuid)
    )
    return int(row.scalar_one())


async def latest(connection: Connection, vuid: str, *, for_update: bool = False) -> Row[Any]:
    """Return the newest account of a VUID.

    Raises:
        AccountNotFound: none.
    """
    query = select(account).where(account.c.vuid == vuid).order_by(account.c.generation.desc()).limit(1)
    row = (await connection.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        raise AccountNotFound
    return row


async def held(connection: Connection, vuid: str, *, scope: Scope, for_update: bool = False) -> Row[Any]:
    """Return the newest account of a VUID if the scope may show it; else it answers like an absent one.

    Raises:
        AccountNotFound: none, or not this holder's.
    """
    if not scope.all_rows:
        row = await connection.execute(
            select(holder.c.vuid).where(holder.c.vuid == vuid, holder.c.holder == holder_of(scope))
        )
        if row.first() is None:
            raise AccountNotFound
    return await latest(connection, vuid, for_update=for_update)


def holder_of(scope: Scope) -> str:
    """Return who holds an account in a scope: the institution, or the app."""
    return scope.institution_id or scope.caller_id


async def proof_level(connection: Connection, vuid: str) -> int:
    """Return the strongest proof that any holder came with."""
    row = await connection.execute(
        select(func.coalesce(func.max(holder.c.real_name_level), 0)).where(holder.c.vuid == vuid)
    )
    return int(row.scalar_one())


async def view(connection: Connection, vault: Vault, vuid: str, *, scope: Scope) -> AccountView:
    """Return an account to its holder, with the resident's data in the clear.

    Raises:
        AccountNotFound: none, or not this holder's.
    """
    row = await held(connection, vuid, scope=scope)
    person = await persons.read(connection, await vault.sealer(), row.mpi)
    return AccountView(
        vuid=vuid,
        state=row.state,
        name=str.__str__(person.name),
        id_type=person.id_type,
        id_number=str.__str__(person.id_number),
        phone=str.__str__(person.phone),
        mpi_ref=await vault.mpi_ref(holder_of(scope), person.mpi.hex),
        static_code=static_text(vuid),
        real_name_level=await proof_level(connection, vuid),
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
        vuid=vuid,
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
    if not scope.all_rows:
        query = query.where(holder.c.holder == holder_of(scope))
    return {int(row[0]): row[1] for row in await connection.execute(query)}
