"""Verbs on persons whom the index knows: correct the golden record, change a certificate, retire, note a death.

Survivorship is simple at this stage: the newest proven statement is the golden record; every statement is kept as a
contribution, with its real-name mark.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.models import certificate, contribution, person
from yimatong.empi.persons import queries
from yimatong.empi.persons.schemas import Demographics, PersonRecord, RealNameMark
from yimatong.empi.persons.service import facts_blob, tokens
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id
from yimatong.standards.codes import ID_CARD


async def claim(
    connection: Connection, *, id_type: str, id_number: str, mpi: UUID, blinder: Blinder, now: datetime
) -> UUID:
    """Claim a certificate for a person and return whose it is now: hers, or the person's who had it before.

    Of any number at once one wins; the others wait for its commit and are told its person.
    """
    blind = blinder.id_blind(id_type, id_number)
    await connection.execute(
        upsert(certificate).values(id_type=id_type, id_blind=blind, mpi=mpi, claimed_at=now).on_conflict_do_nothing()
    )
    return await queries.mpi_of_certificate(connection, id_type=id_type, id_blind=blind) or mpi


async def mark_replaced(
    connection: Connection, *, old: tuple[str, str], new: tuple[str, str], blinder: Blinder, now: datetime
) -> None:
    """Note that a certificate (type, number) was replaced by another; it stays its holder's."""
    for (id_type, number), when in ((old, now), (new, None)):
        await connection.execute(
            update(certificate)
            .where(certificate.c.id_type == id_type, certificate.c.id_blind == blinder.id_blind(id_type, number))
            .values(replaced_at=when)
        )


async def enter(
    connection: Connection,
    given: Demographics,
    *,
    mpi: UUID,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    """Enter a new person; the claim on her certificate comes before."""
    await connection.execute(
        insert(person).values(
            mpi=mpi,
            **_golden(given, mpi=mpi, sealer=sealer, blinder=blinder),
            created_at=now,
            changed_at=now,
        )
    )
    await contribute(connection, given, mpi=mpi, provider=provider, mark=mark, sealer=sealer, now=now)


async def rewrite(
    connection: Connection,
    given: Demographics,
    *,
    mpi: UUID,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    """Make ``given`` the golden record of a person, and keep it as what this provider said."""
    await contribute(connection, given, mpi=mpi, provider=provider, mark=mark, sealer=sealer, now=now)
    golden = _golden(given, mpi=mpi, sealer=sealer, blinder=blinder)
    await connection.execute(
        update(person).where(person.c.mpi == mpi).values(**golden, version=person.c.version + 1, changed_at=now)
    )


async def contribute(
    connection: Connection,
    given: Demographics,
    *,
    mpi: UUID,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    now: datetime,
) -> None:
    """Keep what a provider said of a person, for ever."""
    await connection.execute(
        insert(contribution).values(
            mpi=mpi,
            contribution_id=new_id("ctb"),
            provider=provider,
            sealed=sealer.seal(facts_blob(given), queries.aad(mpi)),
            real_name_method=mark.method,
            real_name_level=mark.level,
            real_name_at=mark.at,
            real_name_trace=mark.trace_no,
            at=now,
        )
    )


async def lock(connection: Connection, *mpis: UUID) -> None:
    """Lock persons, in the order of their ids, until the transaction ends.

    Raises:
        PersonNotFound: one of them does not exist.
    """
    rows = await connection.execute(
        select(person.c.mpi).where(person.c.mpi.in_(mpis)).order_by(person.c.mpi).with_for_update()
    )
    if len(rows.all()) != len(set(mpis)):
        raise PersonNotFound


async def retire(connection: Connection, mpi: UUID, *, into: UUID, now: datetime) -> None:
    """Retire a person who was found to be ``into``. Pointers stay one step long; setting them back undoes it.

    Raises:
        PersonNotFound: one of them does not exist.
    """
    await lock(connection, mpi, into)
    await connection.execute(
        update(person)
        .where((person.c.mpi == mpi) | (person.c.current_mpi == mpi))
        .values(state="retired", current_mpi=into, version=person.c.version + 1, changed_at=now)
    )


async def report_death(connection: Connection, mpi: UUID, *, died_on: date | None, now: datetime) -> None:
    """Note that a person died (None takes a wrong report back)."""
    await connection.execute(
        update(person)
        .where(person.c.mpi == mpi)
        .values(deceased_on=died_on, version=person.c.version + 1, changed_at=now)
    )


def demographics(known: PersonRecord) -> Demographics:
    """Return a person's golden record in the shape that providers send, unsealed."""
    return Demographics(
        name=str.__str__(known.name),
        sex=known.sex,
        birth_date=known.birth_date,
        id_type=known.id_type,
        id_number=str.__str__(known.id_number),
        phone=str.__str__(known.phone),
        address=str.__str__(known.address),
        nation=known.nation,
        marital=known.marital,
        occupation=known.occupation,
    )


def _golden(given: Demographics, *, mpi: UUID, sealer: Sealer, blinder: Blinder) -> dict[str, object]:
    return {
        "sealed": sealer.seal(facts_blob(given), queries.aad(mpi)),
        "search_tokens": tokens(blinder, given.name, given.phone, given.address),
        "sex": given.sex,
        "birth_date": given.birth_date,
        "region_code": given.id_number[:6] if given.id_type == ID_CARD else None,
    }
