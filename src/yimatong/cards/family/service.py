"""Verbs of families: a member comes under a guardian's phone, and leaves it.

The guardian is an adult with a certificate and an active account. For a minor the right is shown by birth or paper and
ends with coming of age (18, Civil Code art. 17); for an adult (an elder managed by a child) by the member's own
consent, which an institution attests.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.cards.accounts import history
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.accounts.history import Origin
from yimatong.cards.errors import (
    AccountNotFound,
    ConsentMissing,
    FamilyFull,
    GuardianNotFit,
    RelationNotFound,
)
from yimatong.cards.family import queries
from yimatong.cards.family.schemas import EndedRelation, Family, NewRelation
from yimatong.cards.models import family
from yimatong.crypto.vault import Vault
from yimatong.empi.changes import service as index
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id
from yimatong.standards import codes
from yimatong.standards.codes import NO_CERTIFICATE

OF_AGE: Final = 18
MEMBERS_MAX: Final = 8
_MINORS: Final = ("birth", "guardianship_document")
_ATTESTS: Final = history.STRENGTHS["institution"]
_PROVEN: Final = 2


async def add_member(
    connection: Connection,
    vault: Vault,
    guardian_vuid: str,
    wanted: NewRelation,
    *,
    origin: Origin,
    now: datetime,
    members_max: int = MEMBERS_MAX,
) -> Family:
    """Put a member under a guardian's phone; the same again changes nothing.

    Raises:
        AccountNotFound: one of the accounts, or the caller does not hold it. CodeUnknown: no such relation.
        GuardianNotFit, FamilyFull, ConsentMissing.
    """
    codes.require("family", wanted.relation)
    guardian = await accounts.held(connection, guardian_vuid, scope=origin.scope)
    member = await accounts.held(connection, wanted.member_vuid, scope=origin.scope)
    sealer = await vault.sealer()
    hers = await persons.read(connection, sealer, guardian.mpi)
    theirs = await persons.read(connection, sealer, member.mpi)
    today = business_date(now)
    await index.lock(connection, hers.mpi, theirs.mpi)
    if await queries.between(connection, hers.mpi, theirs.mpi) is None:
        await _require_fit(connection, guardian, hers, theirs, today=today)
        minor = coming_of_age(theirs.birth_date) > today
        _require_consent(wanted, origin, minor=minor, level=await accounts.proof_level(connection, member.vuid))
        if await queries.members_count(connection, hers.mpi) >= members_max:
            raise FamilyFull(limit=members_max)
        await connection.execute(
            upsert(family)
            .values(
                guardian_mpi=hers.mpi,
                member_mpi=theirs.mpi,
                relation_id=new_id("fam"),
                relation=wanted.relation,
                kind="minor" if minor else "adult",
                consent=wanted.consent,
                shows_until=coming_of_age(theirs.birth_date) if minor else None,
                made_by=origin.actor,
                since=now,
            )
            .on_conflict_do_nothing()
        )
        await _note(
            connection,
            vault,
            (guardian.vuid, member.vuid),
            "family_begun",
            origin=origin,
            now=now,
            reason=wanted.consent,
        )
    return await queries.of_account(connection, guardian.vuid, hers.mpi, vault, today=today)


async def _note(
    connection: Connection,
    vault: Vault,
    vuids: tuple[str, str],
    what: str,
    *,
    origin: Origin,
    now: datetime,
    reason: str = "",
) -> None:
    sealer = await vault.sealer()
    for vuid, other in (vuids, vuids[::-1]):
        after = {"with": f"{other[:4]}…{other[-4:]}"}
        await history.note(connection, sealer, vuid, what, origin=origin, now=now, after=after, reason=reason)


async def _require_fit(
    connection: Connection, guardian: Row[Any], hers: PersonRecord, theirs: PersonRecord, *, today: date
) -> None:
    """Refuse a guardian who is a minor, without certificate or active account, herself, or the member's own ward."""
    fit = guardian.state == "active" and hers.id_type != NO_CERTIFICATE and coming_of_age(hers.birth_date) <= today
    if not fit or hers.mpi == theirs.mpi or await queries.between(connection, theirs.mpi, hers.mpi) is not None:
        raise GuardianNotFit


def _require_consent(wanted: NewRelation, origin: Origin, *, minor: bool, level: int) -> None:
    """Institutions attest papers and consent; an app only what its own proof of a minor's identity carries."""
    if minor != (wanted.consent in _MINORS):
        raise ConsentMissing(needed=" / ".join(_MINORS if minor else ("certificate_read", "written")))
    if origin.strength < _ATTESTS and not (minor and level >= _PROVEN):
        raise ConsentMissing(needed="医疗机构或卡管理部门办理 (by an institution or the card office)")


def coming_of_age(birth_date: date | None) -> date:
    """Return the eighteenth birthday; of somebody born on 29 February it is 1 March.

    Somebody whose day of birth nobody knows counts as a minor: she gets no ward, and a guardian may show her code.
    """
    if birth_date is None:
        return date.max
    year = birth_date.year + OF_AGE
    try:
        return birth_date.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


async def end(
    connection: Connection, vault: Vault, relation_id: str, *, origin: Origin, now: datetime
) -> EndedRelation:
    """End a relation; whoever holds the guardian's or the member's account may.

    Raises:
        RelationNotFound: none, or of other accounts.
    """
    row = await queries.relation(connection, relation_id, for_update=True)
    sides = [await accounts.any_of_person(connection, mpi) for mpi in (row.guardian_mpi, row.member_mpi)]
    vuids = [side.vuid for side in sides if side is not None]
    if not [vuid for vuid in vuids if await _holds(connection, vuid, origin)]:
        raise RelationNotFound
    await connection.execute(
        update(family).where(family.c.relation_id == relation_id).values(ended_at=now, ended_by=origin.actor)
    )
    if len(vuids) == len(sides):
        await _note(connection, vault, (vuids[0], vuids[1]), "family_ended", origin=origin, now=now)
    return EndedRelation(relation_id=relation_id, ended_at=now)


async def _holds(connection: Connection, vuid: str, origin: Origin) -> bool:
    try:
        await accounts.held(connection, vuid, scope=origin.scope)
    except AccountNotFound:
        return False
    return True
