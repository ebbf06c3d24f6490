"""Entering numbers of persons, many at once (建立交叉索引); the unique index decides every race."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import (
    BirthDateDisagrees,
    DomainUnknown,
    NumberInvalid,
    NumberTaken,
    NumberUsedUp,
    PersonHasAnother,
    SexDisagrees,
)
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.identifiers import queries, rules, statements
from yimatong.empi.identifiers.queries import aad
from yimatong.empi.identifiers.schemas import Domain
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.clock import business_date
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id
from yimatong.standards.codes import ID_CARD


class NewNumber(NamedTuple):
    """A number to be entered for a person. ``application_domain`` empty: the one that its domain serves."""

    domain: str
    number: str
    mpi: UUID
    provider: str
    medium_id: str | None = None
    application_domain: str = ""


class Entered(NamedTuple):
    """A number that stands for its person; ``fresh``: since now. ``mpi`` is hers of today."""

    relation_id: str
    mpi: UUID
    fresh: bool


class _Case(msgspec.Struct, kw_only=True, eq=False):
    """One number on its way in."""

    wanted: NewNumber
    domain: Domain | None
    text: str
    blind: bytes
    id_type: str
    mpi: UUID
    version: int = 0
    sex: str = ""
    birth_date: date | None = None
    relation_id: str = ""
    holder: UUID | None = None
    since: datetime | None = None
    claimant: UUID | None = None
    before: frozenset[UUID] = frozenset()
    outcome: Entered | PlatformError | None = None

    @property
    def place(self) -> tuple[str, bytes]:
        """Return the key that one person at most has."""
        return self.wanted.domain, self.blind


async def enter_many(
    connection: RawConnection,
    wanted: Sequence[NewNumber],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    tell: bool = False,
) -> list[Entered | PlatformError]:
    """Enter numbers in the open transaction; each is answered, in order, and none fails a neighbour.

    A number that is hers already is answered as before. DomainUnknown, DomainSuspended, NumberInvalid, NumberCheckDigit
    and the refusals of ``standards``: the domain's rules. NumberTaken: it stands for another person, who keeps it.
    NumberUsedUp: it stood for another one and is never given out again. PersonHasAnother: she may have one only.
    SexDisagrees, BirthDateDisagrees: an identity number of somebody else. ``tell`` notes ``linked`` for subscribers.
    """
    if not wanted:
        return []
    cases: list[_Case] = []
    waiting = list(range(len(wanted)))
    answers: dict[int, Entered | PlatformError] = {}
    while waiting:
        taken, waiting = _round(wanted, waiting)
        these = await _judged(connection, [wanted[place] for place in taken], blinder=blinder, now=now)
        await _require_only_one(connection, [case for case in these if case.outcome is None])
        await _claim(connection, [case for case in these if case.outcome is None and case.id_type], now=now)
        await _insert(connection, [case for case in these if case.outcome is None], sealer=sealer, now=now)
        cases += these
        answers |= {place: case.outcome or NumberTaken() for place, case in zip(taken, these, strict=True)}
    fresh = [case for case in cases if isinstance(case.outcome, Entered) and case.outcome.fresh]
    if tell and fresh:
        told = [
            Change(case.mpi, "linked", case.wanted.provider, case.version, domain=case.wanted.domain) for case in fresh
        ]
        await events.note(connection, told, now=now)
    return [answers[place] for place in range(len(wanted))]


async def enter_moved(
    connection: RawConnection, wanted: Sequence[NewNumber], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> list[Entered | PlatformError]:
    """Enter numbers that were judged when they first came: only the place decides."""
    cases = [
        _Case(wanted=each, domain=None, text=text, blind=own, id_type="", mpi=each.mpi)
        for each in wanted
        for text in (rules.normal(each.domain, each.number),)
        for own in (rules.blind(blinder, each.domain, text),)
    ]
    await _insert(connection, cases, sealer=sealer, now=now)
    return [case.outcome or NumberTaken() for case in cases]


def _round(wanted: Sequence[NewNumber], waiting: Sequence[int]) -> tuple[list[int], list[int]]:
    """Take the first one of every number; a second one sees what became of the first."""
    seen: set[tuple[str, str]] = set()
    taken: list[int] = []
    left: list[int] = []
    for place in waiting:
        key = wanted[place].domain, rules.normal(wanted[place].domain, wanted[place].number)
        (left if key in seen else taken).append(place)
        seen.add(key)
    return taken, left


async def _judged(
    connection: RawConnection, wanted: Sequence[NewNumber], *, blinder: Blinder, now: datetime
) -> list[_Case]:
    """Return the numbers as cases, with whose each is now; what needs no entering is decided here."""
    codes = sorted({each.domain for each in wanted})
    about = await queries.ask_domains(connection, codes)  # both are sent before either is waited for
    cases = [_case(each, blinder=blinder) for each in wanted]
    columns = (
        plain(range(len(cases))),
        texts(queries.sendable(case.wanted.domain) for case in cases),
        octets(case.blind for case in cases),
        texts(case.id_type for case in cases),
        plain(case.wanted.mpi for case in cases),
    )
    cursor = await connection.execute(statements.STANDING, columns)
    domains = queries.domains(codes, await about.fetchall())
    for case in cases:
        _judge(case, domains.get(case.wanted.domain), now=now)
    rows: Sequence[Any] = await cursor.fetchall()
    late: list[str] = []
    for row in rows:
        case = cases[row[0]]
        case.mpi, case.version, case.sex, case.birth_date = row[1], row[2] or 1, row[4] or "", row[5]
        case.relation_id, case.holder, case.since, case.claimant = row[6] or "", row[7], row[8], row[9]
        case.before = frozenset(row[10])
    for case in cases:
        if case.outcome is not None:
            continue
        if case.domain is not None and case.since is not None and rules.expired(case.domain, case.since, now=now):
            late.append(case.relation_id)
            case.relation_id, case.holder = "", None
        case.outcome = _known(case)
    if late:
        columns3 = (now, texts(late), texts("expired" for _ in late))
        await (await connection.execute(statements.END, columns3)).fetchall()
    return cases


def _case(wanted: NewNumber, *, blinder: Blinder) -> _Case:
    text = rules.normal(wanted.domain, wanted.number)
    return _Case(
        wanted=wanted,
        domain=None,
        text=text,
        blind=rules.blind(blinder, wanted.domain, text),
        id_type=rules.claimed_type(wanted.domain),
        mpi=wanted.mpi,
    )


def _judge(case: _Case, domain: Domain | None, *, now: datetime) -> None:
    """Judge a number by the rules of its domain."""
    case.domain = domain
    if domain is None:
        case.outcome = DomainUnknown(domain=case.wanted.domain)
    elif not rules.enterable(case.wanted.domain):
        case.outcome = NumberInvalid(domain=case.wanted.domain)
    else:
        try:
            rules.checked(domain, case.wanted.number, today=business_date(now))
        except PlatformError as refusal:
            case.outcome = refusal


def _known(case: _Case) -> Entered | PlatformError | None:
    """Decide what can be decided by what is there; None: the number is free for her."""
    if case.id_type:
        if case.claimant is not None and case.claimant != case.mpi:
            return NumberTaken()
        if case.claimant is None and case.id_type == ID_CARD:
            return _disagrees(case)
        return Entered(case.relation_id, case.mpi, fresh=False) if case.relation_id else None
    if case.holder is not None:
        return Entered(case.relation_id, case.mpi, fresh=False) if case.holder == case.mpi else NumberTaken()
    if case.domain is not None and not case.domain.reusable and case.before - {case.mpi}:
        return NumberUsedUp(domain=case.wanted.domain)
    return None


def _disagrees(case: _Case) -> PlatformError | None:
    """Say why an identity number cannot be this person's: it holds a birth date and a sex."""
    born, sex = case.text[6:14], "1" if int(case.text[16]) % 2 else "2"
    if case.birth_date is not None and f"{case.birth_date:%Y%m%d}" != born:
        return BirthDateDisagrees()
    if case.sex in ("1", "2") and case.sex != sex:
        return SexDisagrees()
    return None


async def _require_only_one(connection: RawConnection, cases: Sequence[_Case]) -> None:
    """Refuse a second number where each person has one; the persons are locked, so that two at once are two in turn."""
    single = [case for case in cases if case.domain is not None and case.domain.one_per_person]
    if not single:
        return
    await connection.execute(statements.LOCK_PERSONS, (plain({case.mpi for case in single}),))
    columns = (
        plain(range(len(single))),
        texts(case.wanted.domain for case in single),
        octets(case.blind for case in single),
        texts(case.id_type for case in single),
        plain(case.mpi for case in single),
    )
    rows: Sequence[Any] = await (await connection.execute(statements.OTHERS, columns)).fetchall()
    having: set[tuple[str, UUID]] = set()
    others = {row[0] for row in rows}
    for index, case in enumerate(single):
        if index in others or (case.wanted.domain, case.mpi) in having:
            case.outcome = PersonHasAnother(domain=case.wanted.domain)
        having.add((case.wanted.domain, case.mpi))


async def _claim(connection: RawConnection, cases: Sequence[_Case], *, now: datetime) -> None:
    """Claim certificates that nobody has; the claim decides, as it does in registration."""
    free = [case for case in cases if case.claimant is None]
    if not free:
        return
    columns = (
        now,
        plain(case.id_type for case in free),
        octets(case.blind for case in free),
        plain(case.mpi for case in free),
    )
    rows: Sequence[Any] = await (await connection.execute(statements.CLAIM, columns)).fetchall()
    won = {(row[0], bytes(row[1])) for row in rows}
    lost = [case for case in free if (case.id_type, case.blind) not in won]
    found = await queries.holders_of_blinds(connection, [case.place for case in lost])
    for index, case in enumerate(lost):
        if found.get(index) != case.mpi:
            case.outcome = NumberTaken()


async def _insert(connection: RawConnection, cases: Sequence[_Case], *, sealer: Sealer, now: datetime) -> None:
    """Insert what is free; what another transaction entered this moment is hers or another person's."""
    if not cases:
        return
    ids = [new_id("xid") for _ in cases]
    columns = (
        now,
        plain(ids),
        texts(case.wanted.domain for case in cases),
        octets(case.blind for case in cases),
        octets(sealer.seal(case.text.encode(), aad(own)) for case, own in zip(cases, ids, strict=True)),
        plain(case.wanted.mpi for case in cases),
        texts(case.wanted.medium_id for case in cases),
        texts(case.wanted.application_domain or rules.application_of(case.wanted.domain) for case in cases),
        texts(case.wanted.provider for case in cases),
    )
    rows: Sequence[Any] = await (await connection.execute(statements.ENTER, columns)).fetchall()
    entered = {row[0] for row in rows}
    lost: list[_Case] = []
    for case, own in zip(cases, ids, strict=True):
        if own in entered:
            case.outcome = Entered(own, case.mpi, fresh=True)
        else:
            lost.append(case)
    found = await queries.active_of_blinds(connection, [case.place for case in lost])
    for index, case in enumerate(lost):
        row = found.get(index)
        hers = row is not None and row.mpi == case.mpi
        case.outcome = Entered(row.relation_id, case.mpi, fresh=False) if row is not None and hers else NumberTaken()
