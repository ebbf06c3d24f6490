"""Accounts of residents without a valid certificate: the domain index gives the number that a certificate would.

The institution attests who it is (level 1); a newborn comes under its mother's phone. Once there is a certificate,
``cards.certificates`` gives the resident a new VUID and the old one leads on to it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID, uuid4

import msgspec

from yimatong.cards.accounts import history, queries
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.schemas import AccountView
from yimatong.cards.certificates import joining
from yimatong.cards.entries.schemas import NewEntry
from yimatong.cards.errors import RealNameTooWeak, RegistrationRaced
from yimatong.cards.family import service as families
from yimatong.cards.family.schemas import NewRelation
from yimatong.cards.registry.service import announce
from yimatong.crypto.vault import Vault
from yimatong.empi.domain import queries as entries
from yimatong.empi.domain import service as domain
from yimatong.empi.domain.schemas import Entry, EntryKey
from yimatong.empi.errors import NotIdentifiable
from yimatong.empi.persons import identity
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import Demographics, PersonRecord, RealNameMark
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, Database
from yimatong.standards.codes import NO_CERTIFICATE

ATTESTED: Final = "attested"
LEVEL: Final = 1
UNKNOWN_NAME: Final = "无名氏"
_CHILD: Final = {"1": "之子", "2": "之女"}
_ORDER: Final = "一二三四五六七八九"


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with everything that was asked outside the transaction; ``known``: it was entered before."""

    wanted: NewEntry
    facts: Demographics
    entry: Entry
    key: EntryKey
    known: bool
    vuid: str
    key_version: int


async def prepare(db: Database, vault: Vault, wanted: NewEntry, *, origin: Origin, now: datetime) -> Prepared:
    """Complete what the institution knows, find the entry if it was made before, and have the VUID made.

    Raises:
        NotIdentifiable: something is missing. AccountNotFound: the guardian's account, or it is not this caller's.
        NameInvalid, PhoneInvalid, BirthDateImpossible: from the checks.
    """
    today = business_date(now)
    sealer, blinder = await vault.sealer(), await vault.blinder()
    async with db.read() as connection:
        guardian: PersonRecord | None = None
        if wanted.guardian_vuid is not None:
            row = await queries.held(connection, wanted.guardian_vuid, scope=origin.scope)
            guardian = await persons.read(connection, sealer, row.mpi)
        facts = identity.checked_facts(complete(wanted, guardian, today=today), today=today)
        key = key_of(wanted, guardian, origin=origin, birth_date=facts.birth_date)
        known = await entries.find(connection, blinder, key)
    entry = known or Entry(
        mpi=uuid4(),
        domain_id=domain.new_domain_id(today),
        kind=wanted.kind,
        birth_date_estimated=wanted.birth_date is None,
        state="open",
    )
    vuid, version = await vault.vuid(entry.mpi.hex, NO_CERTIFICATE, entry.domain_id)
    return Prepared(
        wanted=wanted,
        facts=facts,
        entry=entry,
        key=key,
        known=known is not None,
        vuid=vuid,
        key_version=version,
    )


def complete(wanted: NewEntry, guardian: PersonRecord | None, *, today: date) -> Demographics:
    """Return the facts with stand-ins for what nobody knows yet: 张三之子, 无名氏, a birth date by the estimated age.

    Raises:
        NotIdentifiable: something that this kind of entry needs is missing.
    """
    missing = [name for name, lacks in _lacks(wanted, guardian) if lacks]
    if missing:
        raise NotIdentifiable(missing=", ".join(missing))
    born = wanted.birth_date or date(today.year - (wanted.age_estimate or 0), 1, 1)
    return Demographics(
        name=wanted.name or _stand_in(wanted, guardian),
        sex=wanted.sex,
        birth_date=born,
        id_type=NO_CERTIFICATE,
        id_number="",
        phone=wanted.phone or ("" if guardian is None else str.__str__(guardian.phone)),
        address=wanted.address or ("" if guardian is None else str.__str__(guardian.address)),
    )


def _lacks(wanted: NewEntry, guardian: PersonRecord | None) -> list[tuple[str, bool]]:
    if wanted.kind == "newborn":
        return [("guardian_vuid", guardian is None), ("birth_date", wanted.birth_date is None)]
    own = ("local_no", not wanted.local_no)
    if wanted.kind == "unidentified":
        return [own, ("birth_date / age_estimate", wanted.birth_date is None and wanted.age_estimate is None)]
    return [own, ("name", not wanted.name), ("birth_date", wanted.birth_date is None)]


def _stand_in(wanted: NewEntry, guardian: PersonRecord | None) -> str:
    if wanted.kind != "newborn" or guardian is None:
        return UNKNOWN_NAME
    order = _ORDER[wanted.birth_order - 1] if wanted.birth_order > 1 else ""
    parent = str.__str__(guardian.name)[:40]
    return f"{parent}{_CHILD.get(wanted.sex, '之婴')}{order}"


def key_of(wanted: NewEntry, guardian: PersonRecord | None, *, origin: Origin, birth_date: date) -> EntryKey:
    """Return what she is known by: a newborn by mother, day and order everywhere, others by the holder's number."""
    if wanted.kind == "newborn" and guardian is not None:
        return EntryKey(domain="newborn", known_as=f"{guardian.mpi.hex}/{birth_date}/{wanted.birth_order}")
    return EntryKey(domain=origin.holder, known_as=f"{wanted.kind}/{wanted.local_no}")


async def register(
    connection: Connection, vault: Vault, prepared: Prepared, *, origin: Origin, now: datetime
) -> AccountView:
    """Store a prepared entry, all or nothing, and return its account; the same resident again gets the same account.

    Raises:
        RegistrationRaced: somebody else entered her this moment; nothing was stored. RealNameTooWeak: she has a
        certificate by now, and this caller has not seen it.
    """
    if prepared.known:
        return await _again(connection, vault, prepared.entry.mpi, origin=origin, now=now)
    sealer = await vault.sealer()
    entered = await domain.enter(
        connection,
        prepared.facts,
        prepared.entry,
        prepared.key,
        provider=origin.actor,
        mark=RealNameMark(method=ATTESTED, level=LEVEL, at=now),
        sealer=sealer,
        blinder=await vault.blinder(),
        now=now,
    )
    if not entered:
        raise RegistrationRaced
    vuid = prepared.vuid
    await joining.open_next(connection, vuid=vuid, mpi=prepared.entry.mpi, key_version=prepared.key_version, now=now)
    await joining.hold(connection, vuid, origin.holder, level=LEVEL, now=now)
    await history.note(
        connection,
        sealer,
        vuid,
        "opened",
        origin=origin,
        now=now,
        after={"kind": prepared.entry.kind, "domain_id": prepared.entry.domain_id},
    )
    if prepared.wanted.guardian_vuid is not None:
        wanted = NewRelation(
            member_vuid=vuid, relation=prepared.wanted.relation or _child(prepared.wanted.sex), consent="birth"
        )
        await families.add_member(connection, vault, prepared.wanted.guardian_vuid, wanted, origin=origin, now=now)
    await announce(connection, [vuid], now=now)
    return await queries.view(connection, vault, vuid, scope=origin.scope)


def _child(sex: str) -> str:
    return {"1": "20", "2": "30"}.get(sex, "80")


async def _again(connection: Connection, vault: Vault, mpi: UUID, *, origin: Origin, now: datetime) -> AccountView:
    """Return the account of somebody who was entered before; another institution holds it from now on, too."""
    row = await queries.live_of_person(connection, mpi) or await queries.any_of_person(connection, mpi)
    if row is None:
        raise RegistrationRaced
    if not await queries.holds(connection, row, row.vuid, scope=origin.scope):
        if await queries.proof_level(connection, row.vuid) > LEVEL:
            raise RealNameTooWeak
        await joining.hold(connection, row.vuid, origin.holder, level=LEVEL, now=now)
    return await queries.view(connection, vault, row.vuid, scope=origin.scope)
