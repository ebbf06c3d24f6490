"""Every SELECT on identifier domains and cross indexes: domains, resolving, numbers of persons, history."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from yimatong.access.caller import PLATFORM, Scope
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import DomainSuspended, DomainUnknown, MediumNotInForce, NumberUnknown
from yimatong.empi.identifiers import catalogue, rules, statements, visibility
from yimatong.empi.identifiers.schemas import Domain
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError

_facts = msgspec.json.Decoder(SealedFacts)


class Asked(NamedTuple):
    """A number of one domain; ``targets``: the domains whose numbers are wanted, empty for all."""

    domain: str
    number: str
    targets: Collection[str] = ()


class Number(NamedTuple):
    """A number of a person, as the asking scope may see it. ``relation_id`` is empty for a claimed certificate."""

    domain: str
    number: str
    masked: bool
    application_domain: str
    relation_id: str
    medium_id: str | None
    since: datetime | None


class Found(NamedTuple):
    """Whose a number is today, and her numbers."""

    mpi: UUID
    numbers: tuple[Number, ...]


class Active(NamedTuple):
    """The relation that a number has now; ``mpi`` and ``version`` are the person's of today."""

    relation_id: str
    mpi: UUID
    version: int
    provider: str


class Relation(NamedTuple):
    """One cross index of a number, past or present."""

    relation_id: str
    mpi: UUID
    state: str
    since: datetime
    ended_at: datetime | None
    ended_reason: str | None
    provider: str
    medium_id: str | None
    application_domain: str


def aad(relation_id: str) -> bytes:
    """Bind a sealed number to its row."""
    return f"empi_identifier:{relation_id}".encode()


def domain_of(row: Sequence[Any]) -> Domain:
    """Return a stored domain; the row has ``statements.DOMAIN_COLUMNS``."""
    return Domain(
        code=row[0],
        oid=row[1],
        kind=row[2],
        name_zh=row[3],
        name_en=row[4],
        id_type=row[5],
        card_type=row[6],
        institution_id=row[7],
        region_code=row[8],
        format=row[9],
        check_rule=row[10],
        one_per_person=row[11],
        reusable=row[12],
        valid_days=row[13],
        trusted=tuple(row[14]),
        state=row[15],
        version=row[16],
    )


async def domains_of(connection: RawConnection, codes: Collection[str]) -> dict[str, Domain]:
    """Return the domains of codes that name one: as an operator left it, else as the catalogue says."""
    if not codes:
        return {}
    return domains(codes, await (await ask_domains(connection, codes)).fetchall())


async def ask_domains(connection: RawConnection, codes: Collection[str]) -> Any:
    """Ask for the rows of domains and return the cursor, for who sends more before waiting; then ``domains``."""
    return await connection.execute(statements.DOMAINS, (texts(sorted({sendable(code) for code in codes})),))


def domains(codes: Collection[str], rows: Sequence[Any]) -> dict[str, Domain]:
    """Return the domains of codes, given the rows that ``ask_domains`` fetched."""
    stored = {row[0]: domain_of(row) for row in rows}
    found: dict[str, Domain] = {}
    for code in codes:
        known = stored.get(code) or catalogue.derived(code)
        if known is not None:
            found[code] = known
    return found


def sendable(code: str) -> str:
    """Return a domain's code; a text that cannot be one (and may not even be text to the database) as nothing."""
    return code if _CODE.fullmatch(code) else ""


_CODE = re.compile(r"[0-9A-Za-z._:-]{1,100}", re.ASCII)


class _View(NamedTuple):
    """How numbers are to be shown: to whom, of which domains, with the domains that are known by name."""

    scope: Scope
    targets: Collection[str]
    domains: Mapping[str, Domain]
    sealer: Sealer
    blinder: Blinder
    now: datetime


_IN_FORCE = (None, "active")
"""A number without a card, or of a card in force."""

_CERTIFICATES = tuple(code for code in catalogue.STANDARD if rules.claimed_type(code))


async def resolve(
    connection: RawConnection,
    asked: Sequence[Asked],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    scopes: Sequence[Scope] | None = None,
) -> list[Found | PlatformError]:
    """Return, in order, whose each number is today and her numbers in the wanted domains (PIX).

    ``scopes`` says for each who asks; by default the platform itself, which sees everything. The number asked by is not
    repeated. DomainUnknown, DomainSuspended: the domain asked from, or a target. DomainNotYours: another institution's.
    NumberUnknown: nobody has it, it is past its validity, or its person was cancelled.
    """
    if not asked:
        return []
    viewers = scopes or [PLATFORM] * len(asked)
    normal = [rules.normal(each.domain, each.number) for each in asked]
    blinds = [rules.blind(blinder, each.domain, text) for each, text in zip(asked, normal, strict=True)]
    codes = [sendable(each.domain) for each in asked]
    types = [rules.claimed_type(code) for code in codes]
    named = {*_CERTIFICATES, *(target for each in asked for target in each.targets)}
    about = await ask_domains(connection, named)
    cursor = await connection.execute(
        statements.RESOLVE, (plain(range(len(asked))), texts(codes), octets(blinds), texts(types))
    )
    known = domains(named, await about.fetchall())
    rows: Sequence[Any] = await cursor.fetchall()
    grouped: list[list[Any]] = [[] for _ in asked]
    for row in rows:
        grouped[row[0]].append(row)
    results: list[Found | PlatformError] = []
    for each, own_rows, own_blind, scope in zip(asked, grouped, blinds, viewers, strict=True):
        view = _View(scope, each.targets, known, sealer, blinder, now)
        try:
            _require_open(each, own_rows[0], view)
            numbers = await _numbers(connection, own_rows, view)
        except PlatformError as refusal:
            results.append(refusal)
            continue
        others = (n for n, b in numbers if (n.domain, b) != (each.domain, own_blind))
        results.append(Found(own_rows[0][1], tuple(others)))
    return results


def _require_open(asked: Asked, row: Any, view: _View) -> None:
    """Refuse what cannot be answered; whether the domain may be used comes before whether the number exists."""
    state, valid_days, since, trusted, status = row[-5:]
    domain = catalogue.derived(asked.domain)
    if domain is None and state is None:
        raise DomainUnknown(domain=asked.domain)
    visibility.require_use(asked.domain, trusted or (), None, view.scope)
    for target in asked.targets:
        known = view.domains.get(target)
        if known is None:
            raise DomainUnknown(domain=target)
        if known.state != "active":
            raise DomainSuspended(domain=target)
    if state is not None and state != "active":
        raise DomainSuspended(domain=asked.domain)
    if row[1] is None or row[2] != "live" or _past(valid_days, since, view.now):
        raise NumberUnknown
    if status not in _IN_FORCE:
        raise MediumNotInForce


async def of_persons(
    connection: RawConnection,
    mpis: Sequence[UUID],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    scope: Scope = PLATFORM,
    targets: Collection[str] = (),
) -> dict[UUID, tuple[Number, ...]]:
    """Return the numbers of each person as she is today, by the id that was asked with; as ``scope`` may see them."""
    if not mpis:
        return {}
    named = {*_CERTIFICATES, *targets}
    about = await ask_domains(connection, named)
    cursor = await connection.execute(statements.OF_PERSONS, (plain(range(len(mpis))), plain(mpis)))
    view = _View(scope, targets, domains(named, await about.fetchall()), sealer, blinder, now)
    rows: Sequence[Any] = await cursor.fetchall()
    grouped: list[list[Any]] = [[] for _ in mpis]
    for row in rows:
        if row[1] is not None:
            grouped[row[0]].append(row)
    found: dict[UUID, tuple[Number, ...]] = {}
    for mpi, own_rows in zip(mpis, grouped, strict=True):
        numbers = await _numbers(connection, own_rows, view) if own_rows else []
        found[mpi] = tuple(number for number, _ in numbers)
    return found


async def history(connection: RawConnection, domain: str, number: str, *, blinder: Blinder) -> list[Relation]:
    """Return every cross index that a number ever had, the oldest first; of merged persons the one of today."""
    own = rules.blind(blinder, domain, rules.normal(domain, number))
    rows: Sequence[Any] = await (await connection.execute(statements.HISTORY, (domain, own))).fetchall()
    return [Relation(*row) for row in rows]


async def holders(
    connection: RawConnection, numbers: Sequence[tuple[str, str]], *, blinder: Blinder
) -> dict[int, UUID]:
    """Return the current person of each (domain, number) that somebody has, by index."""
    return await holders_of_blinds(
        connection, [(code, rules.blind(blinder, code, rules.normal(code, number))) for code, number in numbers]
    )


async def holders_of_blinds(connection: RawConnection, numbers: Sequence[tuple[str, bytes]]) -> dict[int, UUID]:
    """Return the current person of each (domain, blind) that somebody has, by index."""
    if not numbers:
        return {}
    codes, blinds = zip(*numbers, strict=True)
    types = texts(rules.claimed_type(code) for code in codes)
    columns = (plain(range(len(numbers))), texts(codes), octets(blinds), types)
    rows: Sequence[Any] = await (await connection.execute(statements.HOLDERS, columns)).fetchall()
    return {row[0]: row[2] for row in rows}


async def active(
    connection: RawConnection, numbers: Sequence[tuple[str, str]], *, blinder: Blinder
) -> dict[int, Active]:
    """Return the active relation of each (domain, number) that has one, by index."""
    return await active_of_blinds(
        connection, [(code, rules.blind(blinder, code, rules.normal(code, number))) for code, number in numbers]
    )


async def active_of_blinds(connection: RawConnection, numbers: Sequence[tuple[str, bytes]]) -> dict[int, Active]:
    """Return the active relation of each (domain, blind) that has one, by index."""
    if not numbers:
        return {}
    codes, blinds = zip(*numbers, strict=True)
    columns = (plain(range(len(numbers))), texts(codes), octets(blinds))
    rows: Sequence[Any] = await (await connection.execute(statements.ACTIVE, columns)).fetchall()
    return {row[0]: Active(*row[1:]) for row in rows}


async def _numbers(connection: RawConnection, rows: Sequence[Any], view: _View) -> list[tuple[Number, bytes]]:
    """Return a person's numbers with their blinds, once each, those of her certificates first."""
    claims = {(text[:2], bytes.fromhex(text[2:])) for text in rows[0][7]}
    found: dict[tuple[str, bytes], tuple[Number, bytes]] = {}
    for row in rows:
        relation_id, code, sealed, own, medium_id, application, since, state, trusted, valid_days, status = row[8:19]
        if relation_id is None or (view.targets and code not in view.targets):
            continue
        id_type = rules.claimed_type(code)
        how = visibility.sight(code, trusted or (), None, view.scope)
        stands = state in (None, "active") and status in _IN_FORCE and not _past(valid_days, since, view.now)
        if how == "none" or not stands or (id_type and (id_type, bytes(own)) not in claims):
            continue
        text = visibility.shown(code, view.sealer.unseal(bytes(sealed), aad(relation_id)).decode(), how)
        number = Number(code, text, how != "clear", application, relation_id, medium_id, since)
        found[code, bytes(own)] = number, bytes(own)
    wanted = {
        (id_type, own)
        for id_type, own in claims
        for code in (rules.certificate_domain(id_type),)
        if (code, own) not in found
        and (not view.targets or code in view.targets)
        and rules.enterable(code)
        and code in view.domains
        and view.domains[code].state == "active"
    }
    for (id_type, own), clear in (await _certificates(connection, rows[0], wanted, view)).items():
        code = rules.certificate_domain(id_type)
        how = visibility.sight(code, view.domains[code].trusted, None, view.scope)
        text = visibility.shown(code, clear, how)
        found[code, own] = Number(code, text, how != "clear", rules.application_of(code), "", None, None), own
    return sorted(found.values(), key=_order)


def _order(found: tuple[Number, bytes]) -> tuple[bool, str, str]:
    return not found[0].domain.startswith("certificate:"), found[0].domain, found[0].number


async def _certificates(
    connection: RawConnection, row: Any, wanted: set[tuple[str, bytes]], view: _View
) -> dict[tuple[str, bytes], str]:
    """Return the numbers of claimed certificates: from her golden record, then from what providers said of her."""
    found: dict[tuple[str, bytes], str] = {}
    if not wanted:
        return found
    _take(found, wanted, row[1], row[3], view)
    if len(found) < len(wanted):
        cursor = await connection.execute(statements.SAID_OF, (plain(row[6]),))
        said: Sequence[Any] = await cursor.fetchall()
        for mpi, sealed in said:
            _take(found, wanted, mpi, sealed, view)
    return found


def _take(
    found: dict[tuple[str, bytes], str], wanted: set[tuple[str, bytes]], mpi: UUID, sealed: bytes, view: _View
) -> None:
    """Open what was said of a person and keep the certificate in it, if it is a wanted one."""
    facts = _facts.decode(view.sealer.unseal(bytes(sealed), persons.aad(mpi)))
    number = rules.normal(rules.certificate_domain(facts.id_type), facts.id_number)
    key = facts.id_type, view.blinder.id_blind(facts.id_type, number)
    if key in wanted:
        found[key] = number


def _past(valid_days: int | None, since: datetime | None, now: datetime) -> bool:
    return valid_days is not None and since is not None and (now - since).days >= valid_days
