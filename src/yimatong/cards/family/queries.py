"""Every SELECT on families."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select

from yimatong.cards.accounts import queries as accounts
from yimatong.cards.errors import RelationNotFound
from yimatong.cards.family.schemas import Family, Relation
from yimatong.cards.models import family
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection
from yimatong.standards.codes import FAMILY


async def members_count(connection: Connection, guardian: UUID) -> int:
    """Return how many members a guardian manages now."""
    mpis = await persons.members(connection, guardian)
    number = await connection.execute(
        select(func.count()).where(family.c.guardian_mpi.in_(mpis), family.c.ended_at.is_(None))
    )
    return int(number.scalar_one())


async def between(connection: Connection, guardian: UUID, member: UUID) -> Row[Any] | None:
    """Return the relation in force in which the first manages the second, or None."""
    row = await connection.execute(
        select(family).where(
            family.c.guardian_mpi.in_(await persons.members(connection, guardian)),
            family.c.member_mpi.in_(await persons.members(connection, member)),
            family.c.ended_at.is_(None),
        )
    )
    return row.first()


async def relation(connection: Connection, relation_id: str, *, for_update: bool = False) -> Row[Any]:
    """Return a relation in force.

    Raises:
        RelationNotFound: none.
    """
    query = select(family).where(family.c.relation_id == relation_id, family.c.ended_at.is_(None))
    row = (await connection.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        raise RelationNotFound
    return row


async def of_account(connection: Connection, vuid: str, mpi: UUID, vault: Vault, *, today: date) -> Family:
    """Return an account's family: whom it manages, and who manages it. Names are masked for the guardians' part."""
    mpis = await persons.members(connection, mpi)
    rows = await connection.execute(
        select(family)
        .where(or_(family.c.guardian_mpi.in_(mpis), family.c.member_mpi.in_(mpis)), family.c.ended_at.is_(None))
        .order_by(family.c.since, family.c.relation_id)
    )
    found = [await _relation(connection, row, mpis, vault, today=today) for row in rows.all()]
    return Family(vuid=vuid, relations=found)


async def _relation(
    connection: Connection, row: Row[Any], mpis: Sequence[UUID], vault: Vault, *, today: date
) -> Relation:
    manages = row.guardian_mpi in mpis
    other = await persons.read(connection, await vault.sealer(), row.member_mpi if manages else row.guardian_mpi)
    theirs = await accounts.live_of_person(connection, other.mpi)
    shows = row.shows_until is None or row.shows_until > today
    return Relation(
        relation_id=row.relation_id,
        role="member" if manages else "guardian",
        vuid=theirs.vuid if theirs is not None and manages and shows else "",
        name=str.__str__(other.name) if manages and shows else other.name.masked,
        relation=row.relation,
        relation_zh=FAMILY[row.relation].zh,
        kind=row.kind,
        state="none" if theirs is None else theirs.state,
        shows_code=shows and theirs is not None and theirs.state == "active",
        shows_until=row.shows_until,
        since=row.since,
    )
