"""A certificate changes.

A passport was renewed, a number corrected, a permanent residence card of the new form issued, or a resident of the
domain index has a certificate at last.

The person stays, or turns out to be one who is registered already; the VUID changes with the certificate and the old
one leads on to the new one. A 15-digit and the 18-character number of a resident identity card are one certificate with
one VUID, so registering or changing with either changes nothing.

``prepare`` proves the certificate and has the VUID made with nothing open; ``apply`` stores everything at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row

from yimatong.cards.accounts import history, queries
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.real_name import RealNameCheck, prove
from yimatong.cards.accounts.schemas import AccountView
from yimatong.cards.certificates import joining
from yimatong.cards.certificates.schemas import CertificateChange, OldCertificate
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    ProofNeeded,
    RealNameMethodNotAllowed,
    RealNameTooWeak,
    RegistrationRaced,
)
from yimatong.cards.registry.service import announce
from yimatong.crypto.vault import Vault
from yimatong.empi.changes import service as index
from yimatong.empi.domain import queries as entries
from yimatong.empi.domain import service as domain
from yimatong.empi.domain.schemas import Entry
from yimatong.empi.errors import CertificateNotHers, CertificateTaken
from yimatong.empi.merges import service as merges
from yimatong.empi.merges.service import NewDecision
from yimatong.empi.persons import identity
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import Demographics, PersonRecord, RealNameMark
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, Database
from yimatong.standards.codes import NO_CERTIFICATE


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A change with everything that was asked outside the transaction; ``owner`` is whose the VUID was made for."""

    resident: Demographics
    old: OldCertificate | None
    mark: RealNameMark
    owner: UUID
    vuid: str
    key_version: int


async def prepare(
    db: Database,
    vault: Vault,
    vuid: str,
    wanted: CertificateChange,
    *,
    origin: Origin,
    check: RealNameCheck,
    now: datetime,
) -> Prepared:
    """Check the new certificate, prove it, find whose it is, and have the VUID made.

    Raises:
        Refusals of ``identity.checked``; ProofNeeded; RealNameMethodNotAllowed; RealNameMismatch; PartyUnreachable;
        AccountNotFound.
    """
    resident = identity.checked(wanted.resident, today=business_date(now))
    if wanted.real_name == "stated":
        raise ProofNeeded(
            field="证件 (certificate)", needed="certificate_read / police_online / bank_online / insurance_online"
        )
    if wanted.real_name == "certificate_read" and origin.actor_kind == "app":
        raise RealNameMethodNotAllowed(method=wanted.real_name)
    mark = await prove(check, wanted.real_name, resident, wanted.proof, now=now)
    blind = (await vault.blinder()).id_blind(resident.id_type, resident.id_number)
    async with db.read() as connection:
        row = await queries.held(connection, vuid, scope=origin.scope)
        own = (await persons.current(connection, row.mpi)).mpi
        owner = await persons.mpi_of_certificate(connection, id_type=resident.id_type, id_blind=blind) or own
        theirs = None if owner == own else await queries.any_of_person(connection, owner)
    if theirs is None:
        made, version = await vault.vuid(owner.hex, resident.id_type, resident.id_number)
    else:
        made, version = theirs.vuid, theirs.vuid_key_version
    return Prepared(resident=resident, old=wanted.old, mark=mark, owner=owner, vuid=made, key_version=version)


async def apply(
    connection: Connection, vault: Vault, vuid: str, prepared: Prepared, *, origin: Origin, now: datetime
) -> AccountView:
    """Store a prepared change, all or nothing, and return the account of today.

    The certificate that is hers already changes nothing and answers the same, so that two requests at once end alike.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled. PersonDisagrees: name, sex or birth date are another's.
        CertificateNotHers: the old one. CertificateTaken: the new one is another person's.
        RealNameTooWeak: a weaker proof than the account has. RegistrationRaced: the index changed; nothing was stored.
    """
    sealer, blinder = await vault.sealer(), await vault.blinder()
    row = await queries.held(connection, vuid, scope=origin.scope, for_update=True)
    known = await persons.read(connection, sealer, row.mpi)
    new = (prepared.resident.id_type, prepared.resident.id_number)
    if (known.id_type, str.__str__(known.id_number)) == new:
        return await queries.view(connection, vault, row.vuid, scope=origin.scope)
    if row.state in _CLOSED:
        raise _CLOSED[row.state]
    entry = await entries.of_person(connection, row.mpi) if known.id_type == NO_CERTIFICATE else None
    if entry is None:
        await _require_old(connection, vault, prepared.old, known.mpi)
    _require_agreement(known, prepared.resident, entry)
    owner = await index.claim(connection, id_type=new[0], id_number=new[1], mpi=known.mpi, blinder=blinder, now=now)
    if owner != prepared.owner:
        raise RegistrationRaced
    if owner != known.mpi:
        if entry is None:
            raise CertificateTaken
        today = await _join(connection, vault, row, known, prepared, origin=origin, now=now)
    else:
        today = prepared.vuid
        await _move(connection, vault, row, known, prepared, origin=origin, now=now)
    if entry is not None:
        await domain.identified(connection, entry.mpi, now=now)
    old = (known.id_type, str.__str__(known.id_number))
    await index.mark_replaced(connection, old=old, new=new, blinder=blinder, now=now)
    await announce(connection, sorted({today, row.vuid}), now=now)
    return await queries.view(connection, vault, today, scope=origin.scope)


_CLOSED: dict[str, type[AccountFrozen | AccountCancelled]] = {
    "frozen": AccountFrozen,
    "cancelled": AccountCancelled,
}


async def _require_old(connection: Connection, vault: Vault, old: OldCertificate | None, mpi: UUID) -> None:
    """Ask for the number of the certificate that is replaced: who does not know it is not the holder."""
    if old is None:
        raise CertificateNotHers
    blind = (await vault.blinder()).id_blind(old.id_type, old.id_number)
    if await persons.mpi_of_certificate(connection, id_type=old.id_type, id_blind=blind) != mpi:
        raise CertificateNotHers


def _require_agreement(known: PersonRecord, given: Demographics, entry: Entry | None) -> None:
    stands_in = entry is not None and entry.kind != "no_certificate"
    estimated = entry is not None and entry.birth_date_estimated
    identity.require_agreement(known, given, name_binds=not stands_in, birth_date_binds=not estimated)


async def _move(
    connection: Connection,
    vault: Vault,
    row: Row[Any],
    known: PersonRecord,
    prepared: Prepared,
    *,
    origin: Origin,
    now: datetime,
) -> None:
    """Give the person her new certificate and the account its new VUID."""
    if prepared.mark.level < await queries.proof_level(connection, row.vuid):
        raise RealNameTooWeak
    sealer = await vault.sealer()
    before = index.demographics(known)
    facts = msgspec.structs.replace(
        prepared.resident,
        phone=before.phone or prepared.resident.phone,
        address=prepared.resident.address or before.address,
        nation=prepared.resident.nation or before.nation,
        marital=prepared.resident.marital or before.marital,
        occupation=prepared.resident.occupation or before.occupation,
    )
    await index.rewrite(
        connection,
        facts,
        mpi=known.mpi,
        provider=origin.actor,
        mark=prepared.mark,
        sealer=sealer,
        blinder=await vault.blinder(),
        now=now,
    )
    await joining.move(connection, row, vuid=prepared.vuid, key_version=prepared.key_version, now=now)
    await joining.hold(connection, prepared.vuid, origin.holder, level=prepared.mark.level, now=now)
    after = await persons.read(connection, sealer, known.mpi)
    await history.note(
        connection,
        sealer,
        prepared.vuid,
        "certificate_changed" if known.id_type != NO_CERTIFICATE else "identified",
        origin=origin,
        now=now,
        before=shown(known),
        after=shown(after),
        reason=prepared.mark.method,
    )


async def _join(
    connection: Connection,
    vault: Vault,
    row: Row[Any],
    known: PersonRecord,
    prepared: Prepared,
    *,
    origin: Origin,
    now: datetime,
) -> str:
    """Join a resident of the domain index with the registered person who she is; return that account's VUID.

    Nobody but the caller, who read or checked the certificate, comes to the registered account by this.
    """
    sealer, blinder = await vault.sealer(), await vault.blinder()
    hers = await persons.read(connection, sealer, prepared.owner)
    identity.require_same(hers, prepared.resident)
    identity.require_living(hers)
    live = await queries.live_of_person(connection, hers.mpi, for_update=True)
    vuid = prepared.vuid if live is None else live.vuid
    if prepared.mark.level < await queries.proof_level(connection, vuid):
        raise RealNameTooWeak
    if live is None:
        await joining.open_next(connection, vuid=vuid, mpi=hers.mpi, key_version=prepared.key_version, now=now)
    await index.contribute(
        connection,
        prepared.resident,
        mpi=hers.mpi,
        provider=origin.actor,
        mark=prepared.mark,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    found = NewDecision(
        kind="merge", method="certificate", left=known.mpi, right=hers.mpi, operator=origin.actor, reason="identified"
    )
    await merges.merge(
        connection,
        retired=known.mpi,
        survivor=hers.mpi,
        decision=found,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    await joining.join(connection, row, into_vuid=vuid, into_mpi=hers.mpi, actor=origin.actor, now=now)
    await joining.hold(connection, vuid, origin.holder, level=prepared.mark.level, now=now)
    await history.note(
        connection,
        sealer,
        vuid,
        "joined",
        origin=origin,
        now=now,
        before=shown(known),
        after=shown(hers),
        reason=prepared.mark.method,
    )
    return vuid


def shown(person: PersonRecord) -> dict[str, object]:
    """Return what the history keeps of a person's identity; the types mask it."""
    return {"name": person.name, "id_type": person.id_type, "id_number": person.id_number}
