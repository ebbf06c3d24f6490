"""Whose record is it? What was found is judged here; nothing is read or written. Pure.

In this order: the provider's own record of before; the certificate, if name and sex agree; a further number, if they
agree; likeness. What speaks for a person but not surely enough, or against what is known of her, becomes a review, and
the record a person of her own until a steward has judged; for an app it is a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from yimatong.empi.errors import NumberTaken, PersonCancelled, PersonDeceased, PersonDisagrees
from yimatong.empi.linkage.engine import Engine
from yimatong.empi.merges.rules import Group, conflict
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.empi.registration.cases import Behind, Case, ToReview
from yimatong.standards import names

_STATED_SEX: Final = frozenset({"1", "2"})


def by_likeness(case: Case, engine: Engine) -> None:
    """Propose the person whom the record fits best; two who both would do are a question for a steward."""
    if not case.ranked:
        return
    best = case.ranked[0]
    verdict = engine.verdict(best.score)
    if verdict == "apart":
        return
    rivals = [each for each in case.ranked[1:2] if each.score.weight >= engine.thresholds.link]
    if verdict == "link" and not rivals:
        case.person, case.score, case.method = best.mpi, best.score, "probability"
        return
    because = "several" if rivals else "guards" if best.score.guards else "likeness"
    case.reviews += [
        ToReview(mpi=each.mpi, kind="probable", because=because, score=each.score) for each in (best, *rivals)
    ]


def may_link(case: Case, known: Behind, *, deceased: bool, now: datetime) -> None:
    """Apply the cluster check to a link by likeness: what stands against it makes it a review."""
    person, held = case.person, case.certificate
    if person is None:
        return
    theirs = Group(person, known.members, known.certificates, now, deceased=deceased)
    own = frozenset() if held is None or held in known.certificates else frozenset({held})
    against = conflict(Group(case.proposed, frozenset({case.proposed}), own, now), theirs)
    if against is None:
        case.outcome = "linked"
        return
    case.reviews.append(ToReview(mpi=person, kind="cluster_conflict", because=against, score=case.score))
    case.person, case.method = None, "none"


def of_person(case: Case, target: UUID, known: PersonRecord, *, contradicted: bool) -> None:
    """Judge a record whose certificate or number is somebody's: is it her? Of a cancelled person it is kept, too.

    ``contradicted``: by more than the name and sex that are compared here.
    """
    refuses = case.record.provider.refuses
    method = "source" if case.holder is None else "certificate"
    if contradicted or not agree(known, case):
        if refuses:
            case.refusal = PersonDisagrees() if method == "certificate" else NumberTaken()
        else:
            case.reviews.append(ToReview(mpi=target, kind="certificate_conflict", because=f"{method}_disagrees"))
    elif refuses and known.state == "cancelled":
        case.refusal = PersonCancelled()
    elif refuses and known.deceased_on is not None:
        case.refusal = PersonDeceased()
    else:
        case.person, case.outcome, case.method = target, "linked", "source" if case.holder is None else "certificate"


def of_source(case: Case, known: Behind, holder: PersonRecord | None) -> None:
    """Judge an update of a record that the index knows.

    It stays with its person. A certificate that nobody has becomes hers; one that replaces another of the same type
    does if nobody but this source ever said the other one, else the number may have been given to somebody else: the
    record becomes a person of her own, and a question. A certificate that is another person's is a question, too; where
    name and sex agree with that one, the worker compares both persons.
    """
    held, before = case.certificate, case.person
    case.outcome, case.method = "updated", "source"
    if held is None or before is None or held in known.certificates:
        return
    if holder is not None and case.holder != before:
        if not agree(holder, case):
            _ask(case, holder.mpi, "certificate_disagrees")
        return
    others = {each for each in known.certificates if each[0] == held[0]}
    if others and not others <= case.only_said_here:
        _ask(case, before, "certificate_changed")
        case.outcome, case.method, case.person, case.moved_from = "review", "none", None, before
        return
    case.replaces = others


def numbers(case: Case, holders: Mapping[tuple[str, str], UUID]) -> None:
    """Decide which further numbers are entered; one that stands for somebody else is a question, or a refusal."""
    for each in case.record.identifiers:
        holder = holders.get((each.domain, each.number))
        if holder is None:
            case.entered.append((each.domain, each.number))
        elif holder != case.person:
            if case.record.provider.refuses:
                case.refusal = case.refusal or NumberTaken()
            elif holder not in {review.mpi for review in case.reviews}:
                case.reviews.append(ToReview(mpi=holder, kind="certificate_conflict", because="number"))


def settle(case: Case) -> None:
    """Decide under which id the record stands and whether it is a new person's."""
    if case.person is not None:
        case.own = case.known.mpi if case.known is not None else case.person
    else:
        case.own = case.person = case.proposed
        case.outcome, case.method = "review" if case.reviews else "created", "none"


def agree(known: PersonRecord, case: Case) -> bool:
    """Say whether name and sex are those of a known person; a sex that one of both does not say binds nobody."""
    record = case.record
    both = {known.sex, record.sex} <= _STATED_SEX
    return (not both or known.sex == record.sex) and names.same_name(known.name, record.facts.name)


def _ask(case: Case, mpi: UUID, because: str) -> None:
    if case.record.provider.refuses:
        case.refusal = PersonDisagrees()
    else:
        case.reviews.append(ToReview(mpi=mpi, kind="certificate_conflict", because=because))
