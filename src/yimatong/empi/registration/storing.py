"""Stores a round of judged records: rows of many at once, each table with one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.domain import queries as entries
from yimatong.empi.domain.schemas import EntryKey
from yimatong.empi.domain.service import new_domain_id
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.service import Held, Said
from yimatong.empi.golden.survivorship import Golden, survive
from yimatong.empi.identifiers import service as identifiers
from yimatong.empi.identifiers.service import NewNumber
from yimatong.empi.linkage import candidates
from yimatong.empi.linkage.engine import Engine
from yimatong.empi.matching.facts import FieldEvidence
from yimatong.empi.merges import decisions
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.waiting import NewReview
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons import statements as rows
from yimatong.empi.persons.statements import NewContribution, Row
from yimatong.empi.registration import statements
from yimatong.empi.registration.cases import Behind, Case
from yimatong.empi.reviews import service as reviews
from yimatong.kit.arrays import octets, plain
from yimatong.kit.clock import business_date
from yimatong.kit.db import RawConnection
from yimatong.kit.ids import new_id
from yimatong.standards.codes import NO_CERTIFICATE

_encoder = msgspec.json.Encoder()
_METHODS = {"certificate": "certificate", "probability": "probability", "source": "provider"}
_CERTAIN = (FieldEvidence("certificate", "equal", 0.0), *(FieldEvidence(n, "agrees", 0.0) for n in ("name", "sex")))
_NUMBERED = (FieldEvidence("identifier", "equal", 0.0), *_CERTAIN[1:])


class Round(NamedTuple):
    """What the records of a round are stored with: the rows held, what was said of each person, and the means."""

    held: dict[UUID, Held]
    said: dict[UUID, list[Said]]
    behind: dict[UUID, Behind]
    sealer: Sealer
    blinder: Blinder
    engine: Engine
    now: datetime


async def store(connection: RawConnection, cases: Sequence[Case], by: Round) -> None:
    """Store everything of records that are not refused.

    Raises:
        SealBroken: a stored statement was edited; the transaction must not be committed.
    """
    await _claims(connection, cases, by)
    fresh = await _say(connection, cases, by)
    await _persons(connection, cases, fresh, by)
    await _blocks(connection, cases, by)
    numbers = [
        NewNumber(domain, number, each.own or each.proposed, each.record.provider.caller_id)
        for each in cases
        for domain, number in each.entered
    ]
    await identifiers.enter_many(connection, numbers, sealer=by.sealer, blinder=by.blinder, now=by.now, tell=True)
    moved = [(*each.source, each.own) for each in cases if each.moved_from is not None and each.own is not None]
    for domain, blind, own in moved:
        await identifiers.relink(
            connection, [(domain, blind)], mpi=own, sealer=by.sealer, blinder=by.blinder, now=by.now
        )
    await _decide(connection, cases, by)


async def _claims(connection: RawConnection, cases: Sequence[Case], by: Round) -> None:
    """Give the certificates claimed now to the persons, and enter those who have none into the domain index."""
    claimed = [(each, each.certificate) for each in cases if each.claimed and each.own != each.proposed]
    await statements.claim_for(connection, [(*held, each.own or each.proposed) for each, held in claimed if held])
    await statements.replaced(connection, [old for each in cases for old in sorted(each.replaces)], now=by.now)
    bearers = {each.person or each.proposed for each, _ in claimed} & by.behind.keys()
    members = sorted({member for person in bearers for member in by.behind[person].members})
    await statements.identified(connection, members, now=by.now)
    bare = [each for each in cases if each.own == each.proposed and not each.claimed]
    for each in bare:
        each.domain_id = new_domain_id(business_date(by.now))
    if bare:
        types, blinds = zip(
            *((NO_CERTIFICATE, by.blinder.id_blind(NO_CERTIFICATE, each.domain_id)) for each in bare), strict=True
        )
        columns = (by.now, plain(types), octets(blinds), plain(each.proposed for each in bare))
        await connection.execute(rows.CLAIM, columns)
        await statements.enter_in_domain(connection, [_entry(each, by.blinder) for each in bare], now=by.now)


def _entry(case: Case, blinder: Blinder) -> tuple[UUID, str, str, bytes, bool]:
    domain, number = case.record.source.domain, case.record.source.number
    # a record that moved away from a person comes to the domain index anew, under a key of its own
    known_as = f"{number}/{case.domain_id}" if case.moved_from is not None else number
    key = entries.blind(blinder, EntryKey(domain=domain, known_as=known_as))
    return case.proposed, case.domain_id, domain, key, case.record.facts.estimated


async def _say(connection: RawConnection, cases: Sequence[Case], by: Round) -> dict[UUID, list[Said]]:
    """Keep what the records say, in the place of what their sources said before; return it by person of today."""
    written: list[NewContribution] = []
    fresh: dict[UUID, list[Said]] = {}
    for each in cases:
        own, person, record = each.own or each.proposed, each.person or each.proposed, each.record
        facts = record.facts
        if each.domain_id:
            told = (facts.id_type, facts.id_number) if facts.id_number else (facts.said_type, facts.said_number)
            facts = msgspec.structs.replace(
                facts, id_type=NO_CERTIFICATE, id_number=each.domain_id, said_type=told[0], said_number=told[1]
            )
        elif facts.id_number and not _hers(each, by):
            facts = msgspec.structs.replace(
                facts, id_type="", id_number="", said_type=facts.id_type, said_number=facts.id_number
            )
        each.contribution_id = new_id("ctb")
        statement = golden.stated(
            facts,
            contribution_id=each.contribution_id,
            provider=record.provider.caller_id,
            kind=record.kind,
            level=record.level,
            at=by.now,
            sex=record.sex,
            birth_date=record.birth_date,
        )
        fresh.setdefault(person, []).append(Said(own, facts, statement, each.source))
        written.append(
            NewContribution(
                own,
                each.contribution_id,
                record.provider.caller_id,
                by.sealer.seal(_encoder.encode(facts), persons.aad(own)),
                record.method,
                record.level,
                kind=record.kind,
                sex=record.sex,
                birth_date=record.birth_date,
                source=each.source,
            )
        )
    known = [each.known for each in cases if each.known is not None]
    await statements.not_current(connection, [(each.mpi, each.statement.contribution_id) for each in known])
    await rows.contribute(connection, written, proven_at=by.now, now=by.now)
    return fresh


def _hers(case: Case, by: Round) -> bool:
    """Say whether the record's certificate is claimed for its person, now or before."""
    behind = by.behind.get(case.person or case.proposed)
    return case.claimed or (behind is not None and case.certificate in behind.certificates)


async def _persons(connection: RawConnection, cases: Sequence[Case], fresh: dict[UUID, list[Said]], by: Round) -> None:
    """Enter new persons and make the golden records of the others anew; tell whoever follows them."""
    gone = {each.known.statement.contribution_id for each in cases if each.known is not None}
    left = [each.moved_from for each in cases if each.moved_from is not None and each.moved_from not in fresh]
    new: list[Row] = []
    changed: list[Row] = []
    made: dict[UUID, Golden] = {}
    for person in [*fresh, *left]:
        stays = [each for each in by.said.get(person, ()) if each.statement.contribution_id not in gone]
        said = [*stays, *fresh.get(person, ())]
        if not said:
            continue
        made[person] = survive([each.statement for each in said], by.engine.survivorship)
        held = by.held.get(person)
        if held is None:
            new.append(golden.row_of(person, made[person], sealer=by.sealer, blinder=by.blinder))
        elif not golden.is_as(made[person], person, held, sealer=by.sealer):
            changed.append(golden.row_of(person, made[person], sealer=by.sealer, blinder=by.blinder))
    alone = {each.proposed: each.alone for each in cases}
    if new:
        await rows.enter(connection, new, compared=[alone.get(each.mpi, True) for each in new], now=by.now)
    await golden.write(connection, changed, now=by.now)
    rewritten = {each.mpi for each in changed}
    await statements.compare_again(
        connection, sorted(rewritten & {each.person for each in cases if each.outcome == "updated"})
    )
    news: list[Change] = []
    for each in cases:
        person, provider = each.person or each.proposed, each.record.provider.caller_id
        held = by.held.get(person)
        each.version = 1 if held is None else held.version + (person in rewritten)
        if made[person].id_type == NO_CERTIFICATE:
            each.domain_id = made[person].id_number
        if held is None or person in rewritten:
            news.append(Change(person, "registered" if held is None else "updated", provider, each.version))
    await events.note(connection, list(dict.fromkeys(news)), now=by.now)


async def _blocks(connection: RawConnection, cases: Sequence[Case], by: Round) -> None:
    """Let the records be found by their tokens, and no longer by those of what they replace."""
    gone: list[tuple[UUID, int]] = []
    found: list[tuple[UUID, int]] = []
    for each in cases:
        own = each.own or each.proposed
        found += [(own, token) for token in each.tokens]
        if each.known is None:
            continue
        before = each.known
        siblings = by.said.get(each.moved_from or each.person or own, ())
        kept = {
            token
            for said in siblings
            if said.mpi == before.mpi and said.statement.contribution_id != before.statement.contribution_id
            for token in candidates.block_tokens(by.blinder, candidates.facts_of(said))
        }
        kept |= set(each.tokens) if own == before.mpi else set()
        old = candidates.block_tokens(by.blinder, candidates.facts_of(before))
        gone += [(before.mpi, token) for token in old if token not in kept]
    await statements.unblock(connection, sorted(gone))
    await rows.block(connection, found)


async def _decide(connection: RawConnection, cases: Sequence[Case], by: Round) -> None:
    """Write the decisions that made links, and open the reviews."""
    made: list[NewDecision] = []
    asked: list[tuple[Case, NewReview]] = []
    for each in cases:
        person, own = each.person or each.proposed, each.own or each.proposed
        if each.outcome == "linked":
            made.append(_link(each, person, by))
        if each.moved_from is not None:
            made.append(
                NewDecision(
                    "relink",
                    "provider",
                    own,
                    "engine",
                    each.moved_from,
                    each.contribution_id,
                    reason="certificate_changed",
                )
            )
        asked += [(each, _review(each, person, wanted, by)) for wanted in each.reviews if wanted.mpi != person]
    await decisions.write(connection, made, by.now)
    opened = await reviews.open_many(connection, [review for _, review in asked], by.now)
    for (each, _), review_id in zip(asked, opened, strict=True):
        each.review_id = each.review_id or review_id


def _link(case: Case, person: UUID, by: Round) -> NewDecision:
    method: Any = _METHODS[case.method]
    made = NewDecision("link", method, person, "engine", contribution_id=case.contribution_id)
    if case.score is not None:
        return made.scored(case.score, rule_version=by.engine.version)
    return made._replace(
        evidence=_CERTAIN if case.method == "certificate" else _NUMBERED, rule_version=by.engine.version
    )


def _review(case: Case, person: UUID, wanted: Any, by: Round) -> NewReview:
    score = wanted.score
    return NewReview(
        person,
        wanted.mpi,
        wanted.kind,
        weight=None if score is None else score.weight,
        probability=None if score is None else score.probability,
        evidence=() if score is None else score.evidence,
        guards=() if score is None else score.guards,
        rule_version=by.engine.version,
        because=wanted.because,
        institution_id=case.record.provider.institution_id,
        method="probability" if score is not None else "certificate",
    )
