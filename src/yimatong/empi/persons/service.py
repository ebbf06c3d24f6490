"""Verbs of the person index: identify a resident by certificate, or enter a new person."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.models import certificate, contribution, person
from yimatong.empi.persons import identity, queries
from yimatong.empi.persons.schemas import Demographics, RealNameMark, SealedFacts
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id
from yimatong.standards.codes import ID_CARD


async def identify(
    connection: Connection,
    given: Demographics,
    *,
    proposed_mpi: UUID,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> UUID:
    """Return the one person of a certificate, entering her as ``proposed_mpi`` when she is new.

    The claim on the certificate is inserted first; of any number at once exactly one wins, the others wait for its
    commit and find its person. ``given`` must be in normal form (``identity.checked``).

    Raises:
        PersonDisagrees: the certificate is somebody's whose name or sex is another.
    """
    blind = blinder.id_blind(given.id_type, given.id_number)
    claimed = await connection.execute(
        upsert(certificate)
        .values(id_type=given.id_type, id_blind=blind, mpi=proposed_mpi, claimed_at=now)
        .on_conflict_do_nothing()
        .returning(certificate.c.mpi)
    )
    if claimed.first() is not None:
        mpi = proposed_mpi
        await _enter(connection, given, mpi=mpi, sealer=sealer, blinder=blinder, now=now)
    else:
        found = await queries.mpi_of_certificate(connection, id_type=given.id_type, id_blind=blind)
        mpi = found or proposed_mpi
        identity.require_same(await queries.read(connection, sealer, mpi), given)
    await connection.execute(
        insert(contribution).values(
            mpi=mpi,
            contribution_id=new_id("ctb"),
            provider=provider,
            sealed=sealer.seal(_blob(given), queries.aad(mpi)),
            real_name_method=mark.method,
            real_name_level=mark.level,
            real_name_at=mark.at,
            at=now,
        )
    )
    return mpi


async def _enter(
    connection: Connection, given: Demographics, *, mpi: UUID, sealer: Sealer, blinder: Blinder, now: datetime
) -> None:
    await connection.execute(
        insert(person).values(
            mpi=mpi,
            sealed=sealer.seal(_blob(given), queries.aad(mpi)),
            name_tokens=_name_tokens(blinder, given.name),
            sex=given.sex,
            birth_date=given.birth_date,
            region_code=given.id_number[:6] if given.id_type == ID_CARD else None,
            created_at=now,
            changed_at=now,
        )
    )


def _name_tokens(blinder: Blinder, name: str) -> list[int]:
    whole = blinder.name_token(name)
    return sorted({whole, *blinder.character_tokens(name), *blinder.bigram_tokens(name)})


def _blob(given: Demographics) -> bytes:
    return msgspec.json.encode(
        SealedFacts(
            name=given.name,
            id_type=given.id_type,
            id_number=given.id_number,
            phone=given.phone,
            address=given.address,
        )
    )
