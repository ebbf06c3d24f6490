"""The pointers of persons: locked, read, moved. Nothing else writes ``state``'s ``retired`` or ``current_mpi``.

A pointer changes under one lock of the whole index (a few milliseconds each). So whom an id means is stable once it is
held, persons' rows are then locked in the order of their ids, and two merges in opposite directions can neither
deadlock nor make a ring: the second one finds that both are one person already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row, case, null, select, text, update

from yimatong.crypto.sealing import Sealer
from yimatong.empi.merges import queries
from yimatong.empi.models import person
from yimatong.empi.persons.queries import aad
from yimatong.kit.db import Connection

_LOCK: Final = 0x594D5408
_RETIRED: Final = "retired"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A person's golden record as her row holds it, opened; ``facts`` is what was sealed."""

    facts: bytes
    search_tokens: tuple[int, ...]
    sex: str
    birth_date: date | None
    region_code: str | None
    marital: str | None
    deceased_on: date | None


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of a merge as they were: their ids and the survivor's golden record (the retired one's row stays)."""

    retired: tuple[UUID, ...]
    survivors: tuple[UUID, ...]
    survivor: Kept
    retired_row: Kept


async def hold(connection: Connection) -> None:
    """Hold the lock of all pointers until the transaction ends: taken before the rows of reviews and persons."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


async def lock(connection: Connection, *mpis: UUID) -> dict[UUID, Row[Any]]:
    """Hold the lock of all pointers and the rows of the persons whom the ids mean; return those rows by id asked.

    Raises:
        PersonNotFound: one of them does not exist.
    """
    await hold(connection)
    wanted = {row.mpi for row in (await queries.roots(connection, mpis)).values()} | set(mpis)
    await connection.execute(
        select(person.c.mpi).where(person.c.mpi.in_(wanted)).order_by(person.c.mpi).with_for_update()
    )
    return await queries.roots(connection, mpis)


async def retire(
    connection: Connection, moved: Collection[UUID], *, into: UUID, now: datetime
) -> list[tuple[UUID, int]]:
    """Point ids at their survivor; return each with its new version."""
    done = await connection.execute(
        update(person)
        .where(person.c.mpi.in_(moved))
        .values(state=_RETIRED, current_mpi=into, version=person.c.version + 1, changed_at=now)
        .returning(person.c.mpi, person.c.version)
    )
    return sorted((row[0], row[1]) for row in done)


async def bring_back(
    connection: Connection, back: Collection[UUID], *, root: UUID, now: datetime
) -> list[tuple[UUID, int]]:
    """Make ``root`` a person of her own again, to whom the others of ``back`` lead; return each with its version."""
    is_root = person.c.mpi == root
    done = await connection.execute(
        update(person)
        .where(person.c.mpi.in_(back))
        .values(
            state=case((is_root, "live"), else_=_RETIRED),
            current_mpi=case((is_root, null()), else_=root),
            compared_at=case((is_root, null()), else_=person.c.compared_at),
            version=person.c.version + 1,
            changed_at=now,
        )
        .returning(person.c.mpi, person.c.version)
    )
    return sorted((row[0], row[1]) for row in done)


async def touch(connection: Connection, mpi: UUID, *, now: datetime, **values: object) -> int:
    """Change a current person: compared anew by and by; return her version."""
    done = await connection.execute(
        update(person)
        .where(person.c.mpi == mpi)
        .values(version=person.c.version + 1, changed_at=now, compared_at=null(), **values)
        .returning(person.c.version)
    )
    return int(done.scalar_one())


def opened(sealer: Sealer, row: Row[Any]) -> Kept:
    """Open a person's row.

    Raises:
        SealBroken: the row was edited.
    """
    return Kept(
        facts=sealer.unseal(row.sealed, aad(row.mpi)),
        search_tokens=tuple(row.search_tokens),
        sex=row.sex,
        birth_date=row.birth_date,
        region_code=row.region_code,
        marital=row.marital,
        deceased_on=row.deceased_on,
    )


def restored(sealer: Sealer, mpi: UUID, kept: Kept) -> dict[str, object]:
    """Return the values of a row as it was kept, sealed anew."""
    return {
        "sealed": sealer.seal(kept.facts, aad(mpi)),
        "search_tokens": list(kept.search_tokens),
        "sex": kept.sex,
        "birth_date": kept.birth_date,
        "region_code": kept.region_code,
        "marital": kept.marital,
        "deceased_on": kept.deceased_on,
    }


def sealed(sealer: Sealer, merge_id: str, before: Before) -> bytes:
    """Seal what was before a merge into its row."""
    return sealer.seal(msgspec.json.encode(before), _aad(merge_id))


def unsealed(sealer: Sealer, merge_id: str, blob: bytes) -> Before:
    """Open what was before a merge.

    Raises:
        SealBroken: the row was edited.
    """
    return msgspec.json.decode(sealer.unseal(blob, _aad(merge_id)), type=Before)


def ordered(mpis: Collection[UUID]) -> Sequence[UUID]:
    """Return ids in the order in which they are kept and locked."""
    return sorted(mpis)


def _aad(merge_id: str) -> bytes:
    return f"empi_merge:{merge_id}".encode()
