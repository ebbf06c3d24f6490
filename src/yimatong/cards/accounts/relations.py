"""Which guardians may show whose codes: the one question that every look at an account asks of the families."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select

from yimatong.cards.models import family
from yimatong.empi.persons import queries as persons
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection


async def guardians_who_show(connection: Connection, mpi: UUID, *, now: datetime) -> Sequence[UUID]:
    """Return the guardians of a person whose phones may show her codes now; a minor's end with coming of age."""
    mpis = await persons.members(connection, mpi)
    rows = await connection.execute(
        select(family.c.guardian_mpi).where(
            family.c.member_mpi.in_(mpis),
            family.c.ended_at.is_(None),
            or_(family.c.shows_until.is_(None), family.c.shows_until > business_date(now)),
        )
    )
    return rows.scalars().all()
