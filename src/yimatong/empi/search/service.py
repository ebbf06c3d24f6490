"""Queries by any combination of facts over sealed data (guiding plan 5.2.2.3), and by the matching engine.

Tokens find candidates, which are unsealed and looked at again; what fits is ranked, resolved to the persons of today,
each once, and shown page by page as the caller may see it (``showing``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice, product
from typing import Final
from uuid import UUID

from yimatong.access.caller import Caller
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi import search_tokens as tokens
from yimatong.empi.errors import DomainUnknown, NothingSelective, RangeBackwards, TooManyCandidates
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.identifiers import visibility
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.linkage import candidates as linkage
from yimatong.empi.linkage import engine as engines
from yimatong.empi.matching.facts import Facts, Score
from yimatong.empi.persons import queries as persons
from yimatong.empi.registration.schemas import Stated
from yimatong.empi.search import fitting, paging, queries, showing
from yimatong.empi.search.fitting import Wanted
from yimatong.empi.search.queries import Filters, Row
from yimatong.empi.search.schemas import Grade, MatchCandidate, PersonPage, PersonQuery
from yimatong.kit.db import Connection, RawConnection, raw
from yimatong.standards.codes import CERTIFICATE_TYPES

CANDIDATES_MAX: Final = 1000
"""How many rows are unsealed for one query at most; where more may fit, none is shown."""

_ALTERNATIVES: Final = 32
"""How many spellings of a name with characters of several readings are looked up at most."""

_SURE: Final = Score(weight=0.0, probability=1.0, evidence=())
"""What a number alone says: she is its holder, and nothing was compared."""

_POSSIBLE_BITS: Final = 10.0
"""How far below the border of review a pair is still worth a look: one in a thousand of the odds."""

_DAYS: Final = 31
_PAIR: Final = 2


async def search(
    connection: Connection, vault: Vault, query: PersonQuery, *, caller: Caller, now: datetime
) -> PersonPage:
    """Return a page of persons whom a query fits, best first.

    Raises:
        NothingSelective: no fact that few share. TooManyCandidates: more than ``CANDIDATES_MAX`` may fit.
        RangeBackwards. CursorInvalid: the cursor is another query's. DomainUnknown, DomainNotYours: an identifier's.
    """
    after = paging.read(await vault.sealer("cursors"), query, caller.holder)
    ranked = await candidates(connection, vault, query, caller=caller)
    order = sorted(ranked, key=lambda mpi: (-ranked[mpi], mpi.hex))
    left = [mpi for mpi in order if after is None or (-ranked[mpi], mpi.hex) > (-after[0], after[1])]
    page = left[: query.limit]
    hits = await showing.hits(connection, vault, {mpi: ranked[mpi] for mpi in page}, caller=caller, now=now)
    cursor = ""
    if len(left) > len(page):
        last = page[-1]
        cursor = paging.write(await vault.sealer("cursors"), query, caller.holder, (ranked[last], last.hex))
    return PersonPage(persons=tuple(hits), next_cursor=cursor, total=len(order))


async def candidates(
    connection: Connection, vault: Vault, query: PersonQuery, *, caller: Caller
) -> Mapping[UUID, float]:
    """Return every person of today whom a query fits, with how well (0 to 1); errors as ``search``."""
    if query.born_from and query.born_to and query.born_to < query.born_from:
        raise RangeBackwards
    asked = fitting.wanted(query)
    sealer, blinder = await vault.sealer(), await vault.blinder()
    rows = await _rows(await raw(connection), asked, blinder=blinder, caller=caller)
    ranks: dict[UUID, float] = {}
    for row in rows:
        known = persons.unsealed(
            sealer,
            row.mpi,
            row.sealed,
            sex=row.sex,
            birth_date=row.birth_date,
            state=row.state,
            deceased_on=row.deceased_on,
        )
        rank = fitting.rank(asked, known, region_code=row.region_code or "", current=row.current_mpi is None)
        if rank is not None:
            ranks[row.today] = max(rank, ranks.get(row.today, 0.0))
    former = [row.today for row in rows if row.current_mpi is not None and row.today in ranks]
    if former and not query.include_cancelled:
        alive = await queries.today(await raw(connection), former)
        for mpi in former:
            if mpi not in alive or alive[mpi][0].state != "live":
                ranks.pop(mpi, None)
    return ranks


async def _rows(connection: RawConnection, asked: Wanted, *, blinder: Blinder, caller: Caller) -> list[Row]:
    """Return the rows that may fit, by the narrowest way there is."""
    query = asked.query
    if query.identifiers or query.id_number:
        rows = await queries.by_id(connection, await _numbered(connection, query, blinder=blinder, caller=caller))
        gone = {row.mpi for row in rows if row.state == "cancelled" and not query.include_cancelled}
        return [row for row in rows if row.today not in gone]
    filters = Filters(query.sex, query.born_from, query.born_to, query.region_code, query.include_cancelled)
    most = CANDIDATES_MAX + 1
    alternatives = token_sets(blinder, asked)
    days = (query.born_to - query.born_from).days if query.born_from and query.born_to else None
    few_days = days is not None and days < _DAYS
    if selective(asked) or (few_days and any(alternatives)):
        rows = await queries.by_tokens(connection, alternatives, filters, most=most)
    elif few_days and query.born_from and query.born_to:
        rows = await queries.by_birth(connection, query.born_from, query.born_to, filters, most=most)
    else:
        raise NothingSelective
    if len(rows) > CANDIDATES_MAX:
        raise TooManyCandidates(limit=CANDIDATES_MAX)
    return rows


def selective(asked: Wanted) -> bool:
    """Say whether the facts of a query that have tokens are such as few persons share."""
    return bool(
        (asked.name and asked.name_match == "exact")
        or len(asked.sounds) >= _PAIR
        or any(len(piece) >= _PAIR for piece in asked.pieces)
        or len(asked.pieces) >= _PAIR
        or asked.phone
        or asked.mother
        or len(asked.units) >= _PAIR
    )


def token_sets(blinder: Blinder, asked: Wanted) -> list[list[int]]:
    """Return the sets of tokens, of which a person carries one whole; several where characters have many readings."""
    fixed: set[int] = set()
    if asked.name_match == "exact" and asked.name:
        fixed.add(blinder.whole_name_token(asked.name))
    for piece in asked.pieces:
        fixed.update(tokens.piece_tokens(blinder, piece))
    if asked.phone:
        tail = len(asked.phone) == tokens.TAIL
        fixed.add(blinder.phone_tail_token(asked.phone) if tail else blinder.phone_token(asked.phone))
    if asked.mother:
        fixed.add(blinder.mother_name_token(asked.mother))
    fixed.update(blinder.address_token(unit) for unit in asked.units)
    spellings = islice(product(*asked.sounds), _ALTERNATIVES) if asked.sounds else [()]
    return [sorted(fixed | {blinder.syllable_token(each) for each in said}) for said in spellings]


async def _numbered(connection: RawConnection, query: PersonQuery, *, blinder: Blinder, caller: Caller) -> set[UUID]:
    """Return the persons of today who have every number that a query names."""
    found: list[set[UUID]] = []
    if query.identifiers:
        await _require_sight(connection, query.identifiers, caller)
        asked = [(each.domain, each.number) for each in query.identifiers]
        holders = await identifiers.holders(connection, asked, blinder=blinder)
        found += [{holders[index]} if index in holders else set() for index in range(len(asked))]
    if query.id_number:
        types = [query.id_type] if query.id_type else list(CERTIFICATE_TYPES)
        certificates = [(each, blinder.id_blind(each, query.id_number)) for each in types]
        groups = await persons.mpis_of_certificates(connection, certificates)
        found.append({group[0] for group in groups if group})
    return set.intersection(*found)


async def _require_sight(connection: RawConnection, numbers: Sequence[SourceNumber], caller: Caller) -> None:
    """Refuse a number of a domain that is unknown, or another institution's own: nobody learns who is there."""
    known = await identifiers.domains_of(connection, {each.domain for each in numbers})
    for each in numbers:
        domain = known.get(each.domain)
        if domain is None:
            raise DomainUnknown(domain=each.domain)
        visibility.require_use(each.domain, domain.trusted, domain.institution_id, caller.scope)


async def match(
    connection: Connection,
    vault: Vault,
    resident: Stated,
    numbers: Sequence[SourceNumber] = (),
    *,
    caller: Caller,
    now: datetime,
    limit: int = 20,
    only_certain: bool = False,
) -> list[MatchCandidate]:
    """Return who the matching engine says the given facts may be about, the likeliest first; nothing is written.

    A number that somebody has makes her ``certain`` unless the other facts speak against it. With ``only_certain`` the
    answer is one person or none: two certain ones are a doubt.

    Raises:
        DomainUnknown, DomainNotYours: of a number.
    """
    sealer, blinder = await vault.sealer(), await vault.blinder()
    inside = await raw(connection)
    facts = Facts(
        name=resident.name,
        sex=resident.sex,
        birth_date=resident.birth_date,
        id_type=resident.id_type,
        id_number=resident.id_number,
        phone=resident.phone,
        address=resident.address,
    )
    named = await _holders(inside, numbers, blinder=blinder, caller=caller)
    engine = await engines.active(inside)
    scored = await _scored(inside, facts, engine, sealer=sealer, blinder=blinder)
    graded = {mpi: (_grade(engine, score, named=mpi in named), score) for mpi, score in scored.items()}
    graded |= dict.fromkeys(named - graded.keys(), ("certain", _SURE))
    if only_certain:
        sure = [mpi for mpi, (grade, _) in graded.items() if grade == "certain"]
        graded = {sure[0]: graded[sure[0]]} if len(sure) == 1 else {}
    order = sorted(graded, key=lambda mpi: (graded[mpi][0] != "certain", -graded[mpi][1].weight, mpi.hex))[:limit]
    shown = await showing.hits(
        connection, vault, {mpi: graded[mpi][1].probability for mpi in order}, caller=caller, now=now
    )
    return [
        MatchCandidate(
            person=hit,
            probability=graded[mpi][1].probability,
            weight=graded[mpi][1].weight,
            grade=graded[mpi][0],
            evidence=tuple((each.comparison, each.level, each.weight) for each in graded[mpi][1].evidence),
        )
        for mpi, hit in zip(order, shown, strict=True)
    ]


async def _holders(
    connection: RawConnection, numbers: Sequence[SourceNumber], *, blinder: Blinder, caller: Caller
) -> set[UUID]:
    if not numbers:
        return set()
    await _require_sight(connection, numbers, caller)
    asked = [(each.domain, each.number) for each in numbers]
    return set((await identifiers.holders(connection, asked, blinder=blinder)).values())


async def _scored(
    connection: RawConnection, facts: Facts, engine: engines.Engine, *, sealer: Sealer, blinder: Blinder
) -> dict[UUID, Score]:
    wanted = [(facts, linkage.block_tokens(blinder, facts))]
    (found,) = await linkage.find(connection, wanted, sealer=sealer, engine=engine)
    return {each.mpi: each.score for each in found}


def _grade(engine: engines.Engine, score: Score, *, named: bool) -> Grade:
    """Return the grade of FHIR's match-grade: what the active rules would do with the pair."""
    verdict = engine.verdict(score)
    if verdict == "link" or (named and not score.guards):
        return "certain"
    if verdict == "review" or named:
        return "probable"
    return "possible" if score.weight > engine.thresholds.review - _POSSIBLE_BITS else "certainly-not"
