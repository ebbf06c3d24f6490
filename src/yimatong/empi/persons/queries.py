"""Every SELECT on persons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, cast, func, select, tuple_

from yimatong.crypto.sealing import Sealer
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.models import certificate, person
from yimatong.empi.persons import statements
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.empi.records import SealedFacts
from yimatong.empi.records import aad as aad  # noqa: PLC0414 -- offered here as well
from yimatong.kit.db import Connection, RawConnection
from yimatong.kit.masking import Address, IdNumber, PersonName, Phone

_facts = msgspec.json.Decoder(SealedFacts)


def unsealed(
    sealer: Sealer,
    mpi: UUID,
    sealed: bytes,
    *,
    sex: str,
    birth_date: date | None,
    state: str,
    deceased_on: date | None = None,
) -> PersonRecord:
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
        nation=facts.nation,
        marital=facts.marital,
        occupation=facts.occupation,
        mother_name=PersonName(facts.mother_name),
        deceased_on=deceased_on,
    )


async def mpi_of_certificate(connection: Connection, *, id_type: str, id_blind: bytes) -> UUID | None:
    """Return the person that a certificate is claimed for, as the index knows her today, or None."""
    row = await connection.execute(
        select(func.coalesce(person.c.current_mpi, certificate.c.mpi))
        .select_from(certificate.outerjoin(person, person.c.mpi == certificate.c.mpi))
        .where(certificate.c.id_type == id_type, certificate.c.id_blind == id_blind)
    )
    found: UUID | None = row.scalar_one_or_none()
    return found


async def claims(connection: Connection, certificates: Sequence[tuple[str, bytes]]) -> dict[tuple[str, bytes], UUID]:
    """Return the person of each claimed certificate, given as (id_type, id_blind)."""
    if not certificates:
        return {}
    rows = await connection.execute(
        select(certificate.c.id_type, certificate.c.id_blind, certificate.c.mpi).where(
            tuple_(certificate.c.id_type, certificate.c.id_blind).in_(certificates)
        )
    )
    return {(row.id_type, bytes(row.id_blind)): row.mpi for row in rows}


async def certificates_of(connection: Connection, mpis: Sequence[UUID]) -> dict[UUID, list[tuple[str, bytes]]]:
    """Return every certificate that is claimed for each of the persons, as (id_type, id_blind)."""
    rows = await connection.execute(
        select(certificate.c.mpi, certificate.c.id_type, certificate.c.id_blind)
        .where(certificate.c.mpi.in_(mpis))
        .order_by(certificate.c.id_type, certificate.c.id_blind)
    )
    found: dict[UUID, list[tuple[str, bytes]]] = {mpi: [] for mpi in mpis}
    for row in rows:
        found[row.mpi].append((row.id_type, bytes(row.id_blind)))
    return found


async def mpis_of_certificates(
    connection: RawConnection, certificates: Sequence[tuple[str, bytes]]
) -> list[tuple[UUID, ...]]:
    """Return the current person of each (certificate type, blind) and those joined to her; empty: nobody has it."""
    if not certificates:
        return []
    found = await statements.known(connection, certificates)
    return [found.get(index, ()) for index in range(len(certificates))]


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
    return record(sealer, await current(connection, mpi))


def record(sealer: Sealer, row: Row[Any]) -> PersonRecord:
    """Open a whole row of a person; errors as ``unsealed``."""
    return unsealed(
        sealer,
        row.mpi,
        row.sealed,
        sex=row.sex,
        birth_date=row.birth_date,
        state=row.state,
        deceased_on=row.deceased_on,
    )


async def members(connection: Connection, mpi: UUID) -> tuple[UUID, ...]:
    """Return every id that means this person today: the current one first, then those retired into it."""
    now = (await connection.execute(select(person.c.current_mpi).where(person.c.mpi == mpi))).scalar_one_or_none()
    today = now or mpi
    rows = await connection.execute(select(person.c.mpi).where(person.c.current_mpi == today).order_by(person.c.mpi))
    return (today, *rows.scalars())


async def with_tokens(
    connection: Connection, tokens: Sequence[int], *, after: UUID | None = None, limit: int = 20
) -> Sequence[UUID]:
    """Return live persons who carry all the tokens, in the order of their ids, after ``after``."""
    query = (
        select(person.c.mpi)
        .where(
            person.c.search_tokens.op("@>")(cast(list(tokens), person.c.search_tokens.type)), person.c.state == "live"
        )
        .order_by(person.c.mpi)
        .limit(limit)
    )
    if after is not None:
        query = query.where(person.c.mpi > after)
    return (await connection.execute(query)).scalars().all()
