"""Every SELECT on merges, rejected pairs and decisions.

The pointers of persons are what the merges that were not undone say: each of them is an edge from the id that was
retired to the one that survived then, and ``current_mpi`` is the end of the way from an id over these edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, func, or_, select, text

from yimatong.empi.errors import PersonNotFound
from yimatong.empi.merges.rules import Group, Rejection
from yimatong.empi.models import certificate, decision, merge, person, rejected_pair
from yimatong.kit.db import Connection
from yimatong.standards.codes import NO_CERTIFICATE

_ROOTS = text(
    """
    SELECT a.mpi AS own, p.* FROM empi_person a JOIN empi_person p ON p.mpi = coalesce(a.current_mpi, a.mpi)
    WHERE a.mpi = ANY(:mpis)
    """
)

_UNDER = text(
    """
    WITH RECURSIVE under (mpi) AS (
        SELECT cast(:mpi AS uuid)
        UNION SELECT m.retired_mpi FROM empi_merge m JOIN under u ON m.survivor_mpi = u.mpi WHERE m.undone_at IS NULL)
    SELECT mpi FROM under
    """
)


async def current_of(connection: Connection, mpis: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return whom each id means today; unknown ids are left out."""
    rows = await connection.execute(
        select(person.c.mpi, func.coalesce(person.c.current_mpi, person.c.mpi)).where(person.c.mpi.in_(mpis))
    )
    return {row[0]: row[1] for row in rows}


async def roots(connection: Connection, mpis: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return the whole row of the person whom each id means today.

    Raises:
        PersonNotFound: one of them does not exist.
    """
    rows = await connection.execute(_ROOTS, {"mpis": list(mpis)})
    found = {row.own: row for row in rows}
    if set(mpis) - found.keys():
        raise PersonNotFound
    return found


async def rows(connection: Connection, mpis: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return the very rows of ids, whomever they mean."""
    found = await connection.execute(select(person).where(person.c.mpi.in_(mpis)))
    return {row.mpi: row for row in found}


async def groups(connection: Connection, mpis: Sequence[UUID]) -> dict[UUID, Group]:
    """Return the group of each current person: every id that means her, and her valid certificates."""
    rows = await connection.execute(
        select(person.c.mpi, person.c.current_mpi, person.c.state, person.c.created_at, person.c.deceased_on).where(
            or_(person.c.mpi.in_(mpis), person.c.current_mpi.in_(mpis))
        )
    )
    members: dict[UUID, set[UUID]] = {mpi: set() for mpi in mpis}
    heads: dict[UUID, Any] = {}
    for row in rows.all():
        members[row.current_mpi or row.mpi].add(row.mpi)
        if row.current_mpi is None:
            heads[row.mpi] = row
    claimed = await connection.execute(
        select(certificate.c.mpi, certificate.c.id_type, certificate.c.id_blind).where(
            certificate.c.mpi.in_(set().union(*members.values())),
            certificate.c.replaced_at.is_(None),
            certificate.c.id_type != NO_CERTIFICATE,
        )
    )
    owner = {own: mpi for mpi, group in members.items() for own in group}
    certificates: dict[UUID, set[tuple[str, bytes]]] = {mpi: set() for mpi in mpis}
    for own, id_type, blind in claimed:
        certificates[owner[own]].add((id_type, bytes(blind)))
    return {
        mpi: Group(
            mpi=mpi,
            members=frozenset(members[mpi]),
            certificates=frozenset(certificates[mpi]),
            created_at=heads[mpi].created_at,
            cancelled=heads[mpi].state == "cancelled",
            deceased=heads[mpi].deceased_on is not None,
        )
        for mpi in mpis
    }


async def rejections(connection: Connection, left: frozenset[UUID], right: frozenset[UUID]) -> list[Rejection]:
    """Return the rejected pairs in force with one foot in each of two groups."""
    pair = rejected_pair.c
    rows = await connection.execute(
        select(pair.left_mpi, pair.right_mpi, decision.c.reason)
        .select_from(rejected_pair.outerjoin(decision, decision.c.decision_id == pair.decision_id))
        .where(
            pair.lifted_at.is_(None),
            or_(
                and_(pair.left_mpi.in_(left), pair.right_mpi.in_(right)),
                and_(pair.left_mpi.in_(right), pair.right_mpi.in_(left)),
            ),
        )
    )
    return [Rejection(row[0], row[1], row[2] or "") for row in rows]


async def under(connection: Connection, mpi: UUID) -> frozenset[UUID]:
    """Return an id and every id that leads to it over merges that stand, whoever it leads to itself."""
    return frozenset((await connection.execute(_UNDER, {"mpi": mpi})).scalars())


async def standing(connection: Connection, merge_id: str) -> Row[Any] | None:
    """Return a merge that was not undone, or None."""
    return (
        await connection.execute(select(merge).where(merge.c.merge_id == merge_id, merge.c.undone_at.is_(None)))
    ).first()


async def of_retired(connection: Connection, mpi: UUID) -> Row[Any] | None:
    """Return the merge that retired an id and stands, or None."""
    return (
        await connection.execute(select(merge).where(merge.c.retired_mpi == mpi, merge.c.undone_at.is_(None)))
    ).first()


async def after(connection: Connection, survivors: frozenset[UUID], *, since: datetime) -> Sequence[Row[Any]]:
    """Return the merges that stand and came into a group later than a moment, oldest first."""
    rows = await connection.execute(
        select(merge)
        .where(merge.c.survivor_mpi.in_(survivors), merge.c.undone_at.is_(None), merge.c.at > since)
        .order_by(merge.c.at, merge.c.merge_id)
    )
    return rows.all()


async def history(connection: Connection, mpis: Sequence[UUID], *, limit: int = 100) -> Sequence[Row[Any]]:
    """Return the decisions about any of these ids, newest first: why they are one person, or are not."""
    rows = await connection.execute(
        select(decision)
        .where(or_(decision.c.left_mpi.in_(mpis), decision.c.right_mpi.in_(mpis)))
        .order_by(decision.c.at.desc(), decision.c.decision_id.desc())
        .limit(limit)
    )
    return rows.all()
