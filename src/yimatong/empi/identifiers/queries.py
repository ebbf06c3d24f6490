"""Every SELECT on identifier domains and cross indexes: domains, resolving, numbers of persons, history."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from yimatong.access.caller import PLATFORM, Scope
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import DomainSuspended, DomainUnknown, NumberUnknown
from yimatong.empi.identifiers import catalogue, rules, statements, visibility
from yimatong.empi.identifiers.schemas import Domain
from yimatong.empi.persons import queries as persons
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError


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
    cursor = await connection.execute(statements.DOMAINS, (texts(sorted(set(codes))),))
    rows: Sequence[Any] = await cursor.fetchall()
    stored = {row[0]: domain_of(row) for row in rows}
    found: dict[str, Domain] = {}
    for code in codes:
        known = stored.get(code) or catalogue.derived(code)
        if known is not None:
            found[code] = known
    return found


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
    codes = [each.domain for each in asked]
    types = [rules.claimed_type(code) for code in codes]
    cursor = await connection.execute(
        statements.RESOLVE, (plain(range(len(asked))), texts(codes), octets(blinds), texts(types))
    )
    rows: Sequence[Any] = await cursor.fetchall()
    grouped: list[list[Any]] = [[] for _ in asked]
    for row in rows:
        grouped[row[0]].append(row)
    wanted = {target for each in asked for target in each.targets}
    targets = await domains_of(connection, wanted) if wanted else {}
    results: list[Found | PlatformError] = []
    for each, own_rows, own_blind, scope in zip(asked, grouped, blinds, viewers, strict=True):
        try:
            _require_open(each, own_rows[0], targets, scope, now=now)
            numbers = await _numbers(connection, own_rows, each.targets, scope, sealer=sealer, blinder=blinder, now=now)
        except PlatformError as refusal:
            results.append(refusal)
            continue
        others = (n for n, b in numbers if (n.domain, b) != (each.domain, own_blind))
        results.append(Found(own_rows[0][1], tuple(others)))
    return results


def _require_open(asked: Asked, row: Any, targets: dict[str, Domain], scope: Scope, *, now: datetime) -> None:
    """Refuse what cannot be answered; whether the domain may be used comes before whether the number exists."""
    state, valid_days, since, trusted = row[-4:]
    domain = catalogue.derived(asked.domain)
    if domain is None and state is None:
        raise DomainUnknown(domain=asked.domain)
    visibility.require_use(asked.domain, trusted or (), None, scope)
    for target in asked.targets:
        known = targets.get(target)
        if known is None:
            raise DomainUnknown(domain=target)
        if known.state != "active":
            raise DomainSuspended(domain=target)
    if state is not None and state != "active":
        raise DomainSuspended(domain=asked.domain)
    if row[1] is None or row[2] != "live" or _past(valid_days, since, now):
        raise NumberUnknown


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
    cursor = await connection.execute(statements.OF_PERSONS, (plain(range(len(mpis))), plain(mpis)))
    rows: Sequence[Any] = await cursor.fetchall()
    grouped: list[list[Any]] = [[] for _ in mpis]
    for row in rows:
        grouped[row[0]].append((*row, None, None, None, None))
    found: dict[UUID, tuple[Number, ...]] = {}
    for mpi, own_rows in zip(mpis, grouped, strict=True):
        known = [row for row in own_rows if row[1] is not None]
        numbers = (
            await _numbers(connection, known, targets, scope, sealer=sealer, blinder=blinder, now=now) if known else []
        )
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
) -> dict[int, tuple[str, UUID, int]]:
    """Return relation, current person and her version of each (domain, number), by index."""
    return await active_of_blinds(
        connection, [(code, rules.blind(blinder, code, rules.normal(code, number))) for code, number in numbers]
    )


async def active_of_blinds(
    connection: RawConnection, numbers: Sequence[tuple[str, bytes]]
) -> dict[int, tuple[str, UUID, int]]:
    """Return relation, current person and her version of each (domain, blind), by index."""
    if not numbers:
        return {}
    codes, blinds = zip(*numbers, strict=True)
    columns = (plain(range(len(numbers))), texts(codes), octets(blinds))
    rows: Sequence[Any] = await (await connection.execute(statements.ACTIVE, columns)).fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


async def _numbers(
    connection: RawConnection,
    rows: Sequence[Any],
    targets: Collection[str],
    scope: Scope,
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> list[tuple[Number, bytes]]:
    """Return a person's numbers with their blinds, once each, those of her certificates first."""
    claims = {(text[:2], bytes.fromhex(text[2:])) for text in rows[0][7]}
    found: dict[tuple[str, bytes], tuple[Number, bytes]] = {}
    for row in rows:
        relation_id, code, sealed, own, medium_id, application, since, state, trusted, valid_days = row[8:18]
        if relation_id is None or (targets and code not in targets):
            continue
        id_type = rules.claimed_type(code)
        how = visibility.sight(code, trusted or (), None, scope)
        stands = state in (None, "active") and not _past(valid_days, since, now)
        if how == "none" or not stands or (id_type and (id_type, bytes(own)) not in claims):
            continue
        text = visibility.shown(code, sealer.unseal(bytes(sealed), aad(relation_id)).decode(), how)
        number = Number(code, text, how != "clear", application, relation_id, medium_id, since)
        found[code, bytes(own)] = number, bytes(own)
    missing = {
        (id_type, own)
        for id_type, own in claims
        if (rules.certificate_domain(id_type), own) not in found
        and (not targets or rules.certificate_domain(id_type) in targets)
        and rules.enterable(rules.certificate_domain(id_type))
    }
    certificates = await _certificates(connection, rows[0], missing, sealer=sealer, blinder=blinder)
    trusted_in = await _trusted_in(connection, certificates, scope)
    for (id_type, own), clear in certificates.items():
        code = rules.certificate_domain(id_type)
        how = visibility.sight(code, trusted_in.get(code, ()), None, scope)
        text = visibility.shown(code, clear, how)
        found[code, own] = Number(code, text, how != "clear", rules.application_of(code), "", None, None), own
    return sorted(found.values(), key=lambda each: (not each[0].domain.startswith("certificate:"), each[0].domain))


async def _certificates(
    connection: RawConnection, row: Any, missing: set[tuple[str, bytes]], *, sealer: Sealer, blinder: Blinder
) -> dict[tuple[str, bytes], str]:
    """Return the numbers of claimed certificates as the golden records know them: hers, then those joined to her."""
    found: dict[tuple[str, bytes], str] = {}
    if not missing:
        return found

    def take(mpi: UUID, sealed: bytes, sex: str, birth_date: Any, state: str) -> None:
        known = persons.unsealed(sealer, mpi, bytes(sealed), sex=sex, birth_date=birth_date, state=state)
        number = rules.normal(rules.certificate_domain(known.id_type), str.__str__(known.id_number))
        key = known.id_type, blinder.id_blind(known.id_type, number)
        if key in missing:
            found[key] = number

    take(row[1], row[3], row[4], row[5], row[2])
    joined = [mpi for mpi in row[6] if mpi != row[1]]
    if joined and len(found) < len(missing):
        cursor = await connection.execute(statements.SEALED_OF, (plain(joined),))
        others: Sequence[Any] = await cursor.fetchall()
        for mpi, sealed, sex, birth_date, state in others:
            take(mpi, sealed, sex, birth_date, state)
    return found


async def _trusted_in(
    connection: RawConnection, certificates: dict[tuple[str, bytes], str], scope: Scope
) -> dict[str, tuple[str, ...]]:
    if not certificates or scope.all_rows:
        return {}
    codes = {rules.certificate_domain(id_type) for id_type, _ in certificates}
    return {code: domain.trusted for code, domain in (await domains_of(connection, codes)).items()}


def _past(valid_days: int | None, since: datetime | None, now: datetime) -> bool:
    return valid_days is not None and since is not None and (now - since).days >= valid_days
