"""Registration and update by information providers (guiding plan 5.2.2.1): every entrance comes through here.

REST, the FHIR feed, HL7 v2 and batches hand in records in normal form (``checking.checked``); any number of them is
stored in one transaction with a few statements. Locks are taken in one order by everybody: certificates by their claim,
then source numbers and identities (name and birth date) as advisory locks, then persons by their ids. So the same
person registered at once by any number of callers, with a certificate or without, in any process, is one person. A
record that is refused leaves nothing and never fails a neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from yimatong.access.caller import Scope
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import DomainUnknown, RegistrationOverlapped
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.service import Said
from yimatong.empi.identifiers import catalogue, visibility
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.identifiers import rules as domains
from yimatong.empi.identifiers.schemas import Domain
from yimatong.empi.linkage import candidates
from yimatong.empi.linkage import engine as engines
from yimatong.empi.linkage.engine import Engine
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons import statements as rows
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.empi.registration import judging, statements, storing
from yimatong.empi.registration.cases import Case, Method, case, locks, mark_lookalikes, next_round
from yimatong.empi.registration.checking import Provider, Record, checked
from yimatong.empi.registration.schemas import Outcome, RegisteredPerson
from yimatong.empi.registration.storing import Round
from yimatong.kit.clock import business_date
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError

__all__ = ["Provider", "Record", "Registered", "Registrar", "ToRegister", "checked", "register_many"]


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a record, for callers inside the platform; ``mpi``: who she is today."""

    mpi: UUID
    outcome: Outcome
    method: Method
    probability: float | None
    review_id: str
    domain_id: str
    version: int
    contribution_id: str


class ToRegister(msgspec.Struct, frozen=True, kw_only=True):
    """A checked record of the native API; ``refer`` makes the caller's reference of a person without the device."""

    record: Record
    refer: Callable[[str], str]


class Registrar:
    """Registers for many requests at once (``access.shared``)."""

    def __init__(self, vault: Vault) -> None:
        """Keep the vault."""
        self._vault = vault

    async def register(
        self, connection: RawConnection, wanted: Sequence[ToRegister]
    ) -> list[RegisteredPerson | PlatformError]:
        """Store many records and answer each as its caller sees it."""
        if not wanted:
            return []
        sealer, blinder = await self._vault.sealer(), await self._vault.blinder()
        records = [each.record for each in wanted]
        done = await register_many(connection, records, sealer=sealer, blinder=blinder, now=records[0].at)
        return [
            result if isinstance(result, PlatformError) else view(result, mpi_ref=each.refer(result.mpi.hex))
            for result, each in zip(done, wanted, strict=True)
        ]


def view(done: Registered, *, mpi_ref: str) -> RegisteredPerson:
    """Return what a caller is answered."""
    return RegisteredPerson(
        mpi_ref=mpi_ref,
        outcome=done.outcome,
        method=done.method,
        probability=done.probability,
        review_id=done.review_id,
        domain_id=done.domain_id,
        version=done.version,
    )


async def register_many(
    connection: RawConnection, records: Sequence[Record], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> list[Registered | PlatformError]:
    """Store records in the open transaction; each is answered, in order, with its person or its refusal.

    DomainUnknown, DomainSuspended, DomainNotYours, NumberInvalid and kin: the source number or a further one.
    PersonDisagrees, NumberTaken, PersonDeceased, PersonCancelled: for an app, where an institution gets a review.
    RegistrationOverlapped: the person was merged in this moment. SealBroken: a stored row was edited.
    """
    if not records:
        return []
    engine = await engines.active(connection)
    cases = [case(record, blinder=blinder) for record in records]
    await _require_domains(connection, cases)
    waiting = [each for each in cases if each.refusal is None]
    await _claim(connection, waiting, now=now)
    await statements.lock(connection, locks(waiting))
    while waiting:
        taken, waiting = next_round(waiting)
        mark_lookalikes(taken)
        await _round(connection, taken, engine, sealer=sealer, blinder=blinder, now=now)
        await _hand_on(connection, taken, waiting)
    return [each.refusal or _registered(each) for each in cases]


async def _require_domains(connection: RawConnection, cases: Sequence[Case]) -> None:
    """Refuse records whose numbers are not their provider's to enter, or break their domains' rules."""
    codes = {number.domain for each in cases for number in (each.record.source, *each.record.identifiers)}
    known = await identifiers.domains_of(connection, codes)
    for each in cases:
        try:
            for number in (each.record.source, *each.record.identifiers):
                _require_number(each.record, known.get(number.domain), number.domain, number.number)
        except PlatformError as refusal:
            each.refusal = refusal


def _require_number(record: Record, domain: Domain | None, code: str, number: str) -> None:
    if domain is None or not domains.enterable(code):
        raise DomainUnknown(domain=code)
    domains.checked(domain, number, today=business_date(record.at))
    provider = record.provider
    if code != catalogue.source(provider.caller_id):  # an app's own records have a domain of their own
        scope = Scope(institution_id=provider.institution_id, caller_id=provider.caller_id)
        visibility.require_entry(domain, scope)


async def _claim(connection: RawConnection, cases: Sequence[Case], *, now: datetime) -> None:
    """Claim every certificate, in sorted order, before anything else is locked; of one in several the first claims."""
    first: dict[tuple[str, bytes], Case] = {}
    for each in cases:
        if each.certificate is not None:
            first.setdefault(each.certificate, each)
    if first:
        wanted = [(*held, each.proposed) for held, each in first.items()]
        for won in await rows.claim(connection, wanted, now=now):
            first[won].claimed = True


async def _round(
    connection: RawConnection,
    cases: Sequence[Case],
    engine: Engine,
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    """Look up, judge and store one round of records that share nothing."""
    holders = await _look_up(connection, cases, sealer=sealer, blinder=blinder)
    await _compare(connection, cases, engine, sealer=sealer)
    wanted = {mpi for each in cases for mpi in (each.person, each.holder, each.numbered) if mpi is not None}
    held, said, behind = await statements.hold(connection, sorted(wanted))
    by = Round(held, {}, behind, sealer, blinder, engine, now)
    for each, numbers in zip(cases, holders, strict=True):
        try:
            for mpi in (each.person, each.holder, each.numbered):
                if mpi is not None and mpi not in by.said:
                    by.said[mpi] = [golden.opened(sealer, row) for row in said.get(mpi, ())]
            if each.refusal is None:
                _judge(each, numbers, by)
        except PlatformError as broken:  # her row was edited: her neighbours are registered all the same
            each.refusal = broken
    kept = [each for each in cases if each.refusal is None]
    if kept:
        await storing.store(connection, kept, by)


async def _hand_on(connection: RawConnection, done: Sequence[Case], waiting: Sequence[Case]) -> None:
    """Give the claims of refused records to the next ones with the same certificate, else back."""
    freed: dict[tuple[str, bytes], Case] = {}
    for each in done:
        if each.refusal is not None and each.claimed and each.certificate is not None:
            freed[each.certificate], each.claimed = each, False
    heirs: list[tuple[str, bytes, UUID]] = []
    for each in waiting:
        if each.certificate in freed:
            freed.pop(each.certificate)
            each.claimed = True
            heirs.append((*each.certificate, each.proposed))
    await statements.claim_for(connection, heirs)
    if freed:
        await rows.release(connection, [(*held, each.proposed) for held, each in freed.items()])


async def _look_up(
    connection: RawConnection, cases: Sequence[Case], *, sealer: Sealer, blinder: Blinder
) -> list[dict[tuple[str, str], UUID]]:
    """Find each record's statement of before and the person of its certificate; return the holders of its numbers."""
    certificates = [
        (index, *each.certificate) for index, each in enumerate(cases) if each.certificate and not each.claimed
    ]
    known, held = await statements.look_up(connection, [each.source for each in cases], certificates)
    for index, row in known.items():
        try:
            cases[index].person, cases[index].known = row[0], golden.opened(sealer, row[1:])
        except PlatformError as broken:
            cases[index].refusal = broken
    for index, mpi in held.items():
        cases[index].holder = mpi
    asked = [
        (index, number.domain, number.number)
        for index, each in enumerate(cases)
        for number in ((each.record.source,) if each.known is None else ()) + each.record.identifiers
    ]
    found = await identifiers.holders(connection, [(domain, number) for _, domain, number in asked], blinder=blinder)
    holders: list[dict[tuple[str, str], UUID]] = [{} for _ in cases]
    for place, mpi in sorted(found.items()):
        index, domain, number = asked[place]
        holders[index][(domain, number)] = mpi
        if cases[index].known is None and cases[index].holder is None and cases[index].numbered is None:
            cases[index].numbered = mpi
    return holders


async def _compare(connection: RawConnection, cases: Sequence[Case], engine: Engine, *, sealer: Sealer) -> None:
    """Compare the records that nothing else identifies with everybody whom the blocking finds."""
    open_ones = [
        each
        for each in cases
        if each.known is None and each.holder is None and each.numbered is None and each.refusal is None
    ]
    ranked = await candidates.find(
        connection, [(each.facts, each.tokens) for each in open_ones], sealer=sealer, engine=engine
    )
    for each, found in zip(open_ones, ranked, strict=True):
        each.ranked = found
        judging.by_likeness(each, engine)


def _judge(each: Case, holders: Mapping[tuple[str, str], UUID], by: Round) -> None:
    """Decide whose record it is, now that nobody can change the persons."""
    target = each.holder or each.numbered
    if not _as_looked_up(each, target, by):
        each.refusal = RegistrationOverlapped()
        return
    if each.known is not None and each.person is not None:
        each.only_said_here = _only_said_here(each, by.said[each.person], by.blinder)
        judging.of_source(each, by.behind[each.person], _record(each.holder, by))
    elif target is not None:
        known = _record(target, by)
        if known is not None:
            judging.of_person(each, target, known, contradicted=_contradicted(each, target, by))
    elif each.person is not None:
        dead = by.held[each.person].deceased_on is not None
        judging.may_link(each, by.behind[each.person], deceased=dead, now=by.now)
    judging.settle(each)
    judging.numbers(each, holders)
    if each.outcome == "created" and each.reviews:
        each.outcome = "review"
    source = (each.record.source.domain, each.record.source.number)
    if each.known is None and source not in holders:
        each.entered.append(source)


def _as_looked_up(each: Case, target: UUID | None, by: Round) -> bool:
    """Say whether everybody is still who she was before she was held: merges and relinks may have come between."""
    for mpi in {each.person, target} - {None}:
        row = by.held.get(mpi) if mpi is not None else None
        if row is None or row.state == "retired":
            return False
    if each.holder is not None and each.certificate not in by.behind[each.holder].claims:
        return False
    if each.known is not None and each.person is not None:
        stands = {(one.mpi, one.statement.contribution_id) for one in by.said[each.person]}
        return (each.known.mpi, each.known.statement.contribution_id) in stands
    return each.person is None or by.held[each.person].state == "live"  # by likeness: one who went is nobody's match


def _contradicted(each: Case, target: UUID, by: Round) -> bool:
    """Say whether a record that a number alone leads to somebody has another certificate or birth date than she.

    A number is easily typed wrongly, and names are shared: only a certificate identifies past such a contradiction.
    """
    if each.holder is not None:
        return False
    held, valid = each.certificate, by.behind[target].certificates
    if held is not None and held not in valid and held[0] in {id_type for id_type, _ in valid}:
        return True
    said = [one.statement for one in by.said.get(target, ()) if one.statement.birth_date is not None]
    born = None if each.record.facts.estimated else each.record.birth_date
    return born is not None and bool(said) and not any(one.estimated or one.birth_date == born for one in said)


def _only_said_here(each: Case, said: Sequence[Said], blinder: Blinder) -> frozenset[tuple[str, bytes]]:
    """Return the certificate that the source said before, if nobody else says it of the person."""
    known = each.known
    if known is None or not known.facts.id_number:
        return frozenset()
    certificate = (known.facts.id_type, known.facts.id_number)
    others = [one for one in said if one.statement.contribution_id != known.statement.contribution_id]
    if any((one.facts.id_type, one.facts.id_number) == certificate for one in others):
        return frozenset()
    return frozenset({(certificate[0], blinder.id_blind(*certificate))})


def _record(mpi: UUID | None, by: Round) -> PersonRecord | None:
    row = None if mpi is None else by.held.get(mpi)
    if mpi is None or row is None:
        return None
    return persons.unsealed(
        by.sealer,
        mpi,
        row.sealed,
        sex=row.sex,
        birth_date=row.birth_date,
        state=row.state,
        deceased_on=row.deceased_on,
    )


def _registered(each: Case) -> Any:
    return Registered(
        mpi=each.person or each.proposed,
        outcome=each.outcome,
        method=each.method,
        probability=None if each.score is None or each.method != "probability" else each.score.probability,
        review_id=each.review_id,
        domain_id=each.domain_id,
        version=each.version,
        contribution_id=each.contribution_id,
    )
