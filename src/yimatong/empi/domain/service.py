"""Verbs of the domain index: enter somebody without a certificate; note that she was identified."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.changes import service as persons
from yimatong.empi.domain import queries
from yimatong.empi.domain.schemas import Entry, EntryKey
from yimatong.empi.models import domain_entry
from yimatong.empi.persons.schemas import Demographics, RealNameMark
from yimatong.kit.db import Connection
from yimatong.standards.codes import NO_CERTIFICATE


def new_domain_id(day: date) -> str:
    """Return a new id that stands for a certificate number: ``D``, the day, twelve random digits."""
    return f"D{day:%Y%m%d}{secrets.randbelow(10**12):012d}"


async def enter(
    connection: Connection,
    given: Demographics,
    wanted: Entry,
    key: EntryKey,
    *,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> bool:
    """Enter ``wanted`` under ``key``; of any number at once one enters it and is told True, the others False.

    ``given`` must be in normal form (``identity.checked_facts``).
    """
    done = await connection.execute(
        upsert(domain_entry)
        .values(
            mpi=wanted.mpi,
            domain_id=wanted.domain_id,
            domain=key.domain,
            kind=wanted.kind,
            entry_key=queries.blind(blinder, key),
            birth_date_estimated=wanted.birth_date_estimated,
            entered_at=now,
        )
        .on_conflict_do_nothing()
        .returning(domain_entry.c.mpi)
    )
    if done.first() is None:
        return False
    facts = msgspec.structs.replace(given, id_type=NO_CERTIFICATE, id_number=wanted.domain_id)
    await persons.claim(
        connection, id_type=NO_CERTIFICATE, id_number=wanted.domain_id, mpi=wanted.mpi, blinder=blinder, now=now
    )
    await persons.enter(
        connection,
        facts,
        mpi=wanted.mpi,
        provider=provider,
        mark=mark,
        sealer=sealer,
        blinder=blinder,
        now=now,
        estimated=wanted.birth_date_estimated,
    )
    return True


async def identified(connection: Connection, mpi: UUID, *, now: datetime) -> None:
    """Note that the resident of an entry is known by a certificate now."""
    await connection.execute(
        update(domain_entry).where(domain_entry.c.mpi == mpi).values(state="identified", identified_at=now)
    )
