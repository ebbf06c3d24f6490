"""What cancelling and restoring have in common: the decision, the person's row, the cancellation, the news."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, select, update

from yimatong.empi.cancelling.schemas import Extent
from yimatong.empi.merges import decisions, queries
from yimatong.empi.merges.decisions import Method, NewDecision
from yimatong.empi.models import cancellation, person
from yimatong.kit import outbox
from yimatong.kit.db import Connection, raw


async def mark(connection: Connection, mpi: UUID, **values: object) -> int:
    """Change a person and return her version."""
    done = await connection.execute(
        update(person)
        .where(person.c.mpi == mpi)
        .values(version=person.c.version + 1, **values)
        .returning(person.c.version)
    )
    return int(done.scalar_one())


async def standing(connection: Connection, mpi: UUID, extent: Extent) -> Row[Any] | None:
    """Return the cancellation of a person that stands, or None."""
    return (
        await connection.execute(
            select(cancellation)
            .where(
                cancellation.c.mpi.in_(await _members(connection, mpi)),
                cancellation.c.extent == extent,
                cancellation.c.undone_at.is_(None),
            )
            .order_by(cancellation.c.at.desc())
            .limit(1)
        )
    ).first()


async def _members(connection: Connection, mpi: UUID) -> Collection[UUID]:
    return (await queries.groups(connection, [mpi]))[mpi].members


async def decide(
    connection: Connection,
    kind: Literal["cancel", "restore"],
    mpi: UUID,
    *,
    operator: str,
    method: Method,
    reason: str,
    now: datetime,
) -> str:
    """Write the decision and return its id."""
    made = NewDecision(kind=kind, method=method, left=mpi, operator=operator, reason=reason)
    return (await decisions.write(await raw(connection), [made], now))[0]


async def tell(
    connection: Connection, topic: str, mpis: Collection[UUID], decision_id: str, reason: str, *, now: datetime
) -> None:
    """Send the news up by outbox, in order for each person."""
    ordered = sorted(mpis)
    await outbox.write(
        connection,
        topic=topic,
        ordering_key=f"person:{ordered[0].hex}",
        payload={"mpis": [each.hex for each in ordered], "decision_id": decision_id, "reason": reason},
        now=now,
    )
