"""Every SELECT on persons."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select

from yimatong.crypto.sealing import Sealer
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.models import certificate, person
from yimatong.empi.persons.schemas import PersonRecord, SealedFacts
from yimatong.kit.db import Connection
from yimatong.kit.masking import Address, IdNumber, PersonName, Phone

_facts = msgspec.json.Decoder(SealedFacts)


def aad(mpi: UUID) -> bytes:
    """Bind a sealed blob to its person, so that blobs cannot be moved between rows."""
    return b"empi_person:" + mpi.bytes


def unsealed(sealer: Sealer, mpi: UUID, sealed: bytes, *, sex: str, birth_date: date, state: str) -> PersonRecord:
    """Open a row's blob.

    Raises:
        SealBroken: the row was edited.
    """
    facts = _facts.decode(sealer.unseal(sealed, aad(mpi)))
    return PersonRecord(
        mpi=mpi,
        name=PersonName(facts.name),
        sex=sex,
        birth_date=birth_date,
        id_type=facts.id_type,
        id_number=IdNumber(facts.id_number),
        phone=Phone(facts.phone),
        address=Address(facts.address),
        state=state,
    )


async def mpi_of_certificate(connection: Connection, *, id_type: str, id_blind: bytes) -> UUID | None:
    """Return the person that a certificate is claimed for, or None."""
    row = await connection.execute(
        select(certificate.c.mpi).where(certificate.c.id_type == id_type, certificate.c.id_blind == id_blind)
    )
    return row.scalar_one_or_none()


async def current(connection: Connection, mpi: UUID) -> Row[Any]:
    """Return the row of a person, following the pointer of a merged one.

    Raises:
        PersonNotFound: no such person.
    """
    row = (await connection.execute(select(person).where(person.c.mpi == mpi))).first()
    if row is None:
        raise PersonNotFound
    return row if row.current_mpi is None else await current(connection, row.current_mpi)


async def read(connection: Connection, sealer: Sealer, mpi: UUID) -> PersonRecord:
    """Return a person, unsealed.

    Raises:
        PersonNotFound: no such person. SealBroken: the row was edited.
    """
    row = await current(connection, mpi)
    return unsealed(sealer, row.mpi, row.sealed, sex=row.sex, birth_date=row.birth_date, state=row.state)
