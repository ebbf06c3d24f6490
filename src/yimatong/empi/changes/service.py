"""Verbs on persons whom the index knows: correct the golden record, change a certificate, retire, note a death.

Every statement is kept as a contribution, with its real-name mark; the golden record is what survives of all of them
(``empi.golden``).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import NotIdentifiable, PersonNotFound
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.golden import service as golden
from yimatong.empi.linkage import candidates
from yimatong.empi.models import certificate, person
from yimatong.empi.persons import queries, statements
from yimatong.empi.persons.schemas import Demographics, PersonRecord, RealNameMark
from yimatong.empi.persons.service import contributed, first_record, matching_facts, refresh
from yimatong.empi.persons.statements import NewContribution
from yimatong.kit.db import Connection, RawConnection, raw


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
    estimated: bool = False,
) -> None:
    """Enter a new person; the claim on her certificate comes before. ``estimated``: the birth date is a guess."""
    inside = await raw(connection)
    told = contributed(given, mpi=mpi, provider=provider, mark=mark, sealer=sealer, estimated=estimated)
    record = first_record(given, told, now=now, estimated=estimated)
    await statements.enter(inside, [golden.row_of(mpi, record, sealer=sealer, blinder=blinder)], now=now)
    await _keep(inside, given, told, mark=mark, blinder=blinder, now=now)
    await events.note(inside, [Change(mpi, "registered", provider, 1)], now=now)


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
    """Keep ``given`` as a proven correction of the whole record, and make the golden record anew: a correction wins.

    The person's row is held until the transaction ends.
    """
    await _say(
        connection, given, "correction", mpi=mpi, provider=provider, mark=mark, sealer=sealer, blinder=blinder, now=now
    )


async def contribute(
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
    """Keep what a provider said of a person who is in the index, for ever, and make her golden record anew."""
    await _say(
        connection,
        given,
        "registration",
        mpi=mpi,
        provider=provider,
        mark=mark,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )


async def _say(
    connection: Connection,
    given: Demographics,
    kind: str,
    *,
    mpi: UUID,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    inside = await raw(connection)
    told = contributed(given, mpi=mpi, provider=provider, mark=mark, sealer=sealer, kind=kind)
    await _keep(inside, given, told, mark=mark, blinder=blinder, now=now)
    await events.note(inside, await refresh(inside, {mpi: provider}, sealer=sealer, blinder=blinder, now=now), now=now)
    await connection.execute(update(person).where(person.c.mpi == mpi).values(compared_at=None))


async def _keep(
    connection: RawConnection,
    given: Demographics,
    told: NewContribution,
    *,
    mark: RealNameMark,
    blinder: Blinder,
    now: datetime,
) -> None:
    await statements.contribute(connection, [told], proven_at=mark.at, now=now)
    tokens = candidates.block_tokens(blinder, matching_facts(given))
    await statements.block(connection, [(told.mpi, token) for token in tokens])


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


def demographics(known: PersonRecord) -> Demographics:
    """Return a person's golden record in the shape that providers send, unsealed.

    Raises:
        NotIdentifiable: nobody said when she was born.
    """
    if known.birth_date is None:
        raise NotIdentifiable(missing="birth_date")
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
