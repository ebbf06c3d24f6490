"""Every SELECT on the domain index."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from yimatong.crypto.tokens import Blinder
from yimatong.empi.domain.schemas import Entry, EntryKey
from yimatong.empi.models import domain_entry
from yimatong.kit.db import Connection
from yimatong.standards.codes import NO_CERTIFICATE


def blind(blinder: Blinder, key: EntryKey) -> bytes:
    """Return the keyed hash under which an entry is found again."""
    return blinder.id_blind(NO_CERTIFICATE, f"{key.domain}/{key.known_as}")


async def find(connection: Connection, blinder: Blinder, key: EntryKey) -> Entry | None:
    """Return the entry that a domain made under this key, or None."""
    row = (
        await connection.execute(
            select(domain_entry).where(
                domain_entry.c.domain == key.domain, domain_entry.c.entry_key == blind(blinder, key)
            )
        )
    ).first()
    return None if row is None else _entry(row)


async def of_person(connection: Connection, mpi: UUID) -> Entry | None:
    """Return the entry that brought a person into the index, or None for somebody who came with a certificate."""
    row = (await connection.execute(select(domain_entry).where(domain_entry.c.mpi == mpi))).first()
    return None if row is None else _entry(row)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        mpi=row.mpi,
        domain_id=row.domain_id,
        kind=row.kind,
        birth_date_estimated=row.birth_date_estimated,
        state=row.state,
    )
