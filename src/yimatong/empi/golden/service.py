"""Writes golden records: what survives of everything that providers said of a person and of those joined to her.

The golden record is always ``survivorship.survive`` of the current contributions of the group (the person of today and
the ids retired into her), so that merging and unmerging only move pointers and compute it again. Callers hold the rows
of the persons (``FOR UPDATE``) while they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi import search_tokens as search
from yimatong.empi.golden.survivorship import Golden, Statement, Survivorship, survive
from yimatong.empi.records import Row, SealedFacts, aad
from yimatong.kit.arrays import octets, plain
from yimatong.kit.db import RawConnection
from yimatong.standards import addresses
from yimatong.standards.codes import ID_CARD

_COUNTY = 6

CONTRIBUTIONS = """
    SELECT i.ord, c.mpi, c.contribution_id, c.provider, c.kind, c.sealed, c.sex, c.birth_date, c.real_name_level, c.at,
           c.domain, c.source_blind
    FROM unnest(%s::int[], %s::uuid[]) AS i (ord, m)
    JOIN LATERAL (SELECT i.m AS mpi UNION ALL SELECT mpi FROM empi_person WHERE current_mpi = i.m) g ON true
    JOIN LATERAL (SELECT * FROM empi_contribution WHERE mpi = g.mpi AND current) c ON true
"""
WRITE = """
    UPDATE empi_person p SET sealed = i.s, search_tokens = i.n::bigint[], sex = i.x, birth_date = i.d,
           region_code = i.r, marital = i.w, version = p.version + 1, changed_at = %s::timestamptz
    FROM unnest(%s::uuid[], %s::bytea[], %s::text[], %s::text[], %s::date[], %s::text[], %s::text[])
         AS i (m, s, n, x, d, r, w)
    WHERE p.mpi = i.m RETURNING p.mpi, p.version
"""


LOCK = """
    SELECT mpi, sealed, search_tokens, sex, birth_date, region_code, marital, state, version, deceased_on
    FROM empi_person WHERE mpi = ANY(%s::uuid[]) ORDER BY mpi FOR UPDATE
"""


class Held(NamedTuple):
    """A person's row, held until the transaction ends."""

    sealed: bytes
    search_tokens: Sequence[int]
    sex: str
    birth_date: date | None
    region_code: str | None
    marital: str | None
    state: str
    version: int
    deceased_on: date | None


class Said(NamedTuple):
    """A contribution as it is stored, opened: under which id, its facts, its source record, and its statement."""

    mpi: UUID
    facts: SealedFacts
    statement: Statement
    source: tuple[str, bytes] | None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SealedFacts)


def opened(sealer: Sealer, row: Sequence[Any]) -> Said:
    """Open a row of ``CONTRIBUTIONS`` (without its ordinal).

    Raises:
        SealBroken: the row was edited.
    """
    mpi, contribution_id, provider, kind, sealed, sex, birth_date, level, at, domain, source_blind = row
    facts = _decoder.decode(sealer.unseal(sealed, aad(mpi)))
    statement = stated(
        facts,
        contribution_id=contribution_id,
        provider=provider,
        kind=kind,
        level=level,
        at=at,
        sex=sex or "0",
        birth_date=birth_date,
    )
    return Said(mpi, facts, statement, None if domain is None else (domain, bytes(source_blind)))


def stated(
    facts: SealedFacts,
    *,
    contribution_id: str,
    provider: str,
    kind: str,
    level: int,
    at: datetime,
    sex: str,
    birth_date: date | None,
) -> Statement:
    """Return what a contribution says, for survivorship."""
    return Statement(
        contribution_id=contribution_id,
        provider=provider,
        kind=kind,
        level=level,
        at=at,
        name=facts.name,
        sex=sex,
        birth_date=birth_date,
        estimated=facts.estimated,
        id_type=facts.id_type,
        id_number=facts.id_number,
        phone=facts.phone,
        address=facts.address,
        nation=facts.nation,
        marital=facts.marital,
        occupation=facts.occupation,
        mother_name=facts.mother_name,
    )


def row_of(mpi: UUID, golden: Golden, *, sealer: Sealer, blinder: Blinder) -> Row:
    """Return the columns of a golden record, sealed, with the tokens under which it is found."""
    return Row(
        mpi,
        sealer.seal(_encoder.encode(facts_of(golden)), aad(mpi)),
        '"{' + ",".join(map(str, tokens_of(blinder, golden))) + '}"',
        golden.sex,
        golden.birth_date,
        region_of(golden),
        golden.marital or None,
    )


def facts_of(golden: Golden) -> SealedFacts:
    """Return what is sealed of a golden record."""
    return SealedFacts(
        name=golden.name,
        id_type=golden.id_type,
        id_number=golden.id_number,
        phone=golden.phone,
        address=golden.address,
        nation=golden.nation,
        marital=golden.marital,
        occupation=golden.occupation,
        mother_name=golden.mother_name,
        estimated=golden.estimated,
    )


def tokens_of(blinder: Blinder, golden: Golden) -> list[int]:
    """Return the sorted search tokens of a golden record."""
    found = search.of_person(
        blinder, name=golden.name, phone=golden.phone, address=golden.address, mother_name=golden.mother_name
    )
    if golden.id_number:
        found.append(blinder.id_token(golden.id_type, golden.id_number))
    return sorted(found)


def is_as(golden: Golden, mpi: UUID, held: Held, *, sealer: Sealer, blinder: Blinder | None = None) -> bool:
    """Say whether a person's row says what a golden record says, so that nothing is written for nothing.

    Search tokens follow from what is said; they are compared where a blinder is given.

    Raises:
        SealBroken: the row was edited.
    """
    known = _decoder.decode(sealer.unseal(held.sealed, aad(mpi)))
    return (
        known == facts_of(golden)
        and (held.sex, held.birth_date, held.region_code) == (golden.sex, golden.birth_date, region_of(golden))
        and (held.marital or "") == golden.marital
        and (blinder is None or list(held.search_tokens) == tokens_of(blinder, golden))
    )


def region_of(golden: Golden) -> str | None:
    """Return the region (GB/T 2260) of the address where it names one, else that of the identity number, else None."""
    said = addresses.standardise(golden.address).region if golden.address else ""
    if said:
        return said.ljust(_COUNTY, "0")
    return golden.id_number[:_COUNTY] if golden.id_type == ID_CARD else None


async def contributions(connection: RawConnection, mpis: Sequence[UUID], *, sealer: Sealer) -> list[list[Said]]:
    """Return the current contributions of each person of today, those of ids joined to her among them, in order.

    Raises:
        SealBroken: a row was edited.
    """
    found: list[list[Said]] = [[] for _ in mpis]
    if not mpis:
        return found
    cursor = await connection.execute(CONTRIBUTIONS, (plain(range(len(mpis))), plain(mpis)))
    for row in await cursor.fetchall():
        whose: Any = row[0]
        found[whose].append(opened(sealer, row[1:]))
    return found


async def lock(connection: RawConnection, mpis: Sequence[UUID]) -> dict[UUID, Held]:
    """Hold persons' rows, in the order of their ids, until the transaction ends; return them."""
    if not mpis:
        return {}
    rows: Sequence[Any] = await (await connection.execute(LOCK, (plain(mpis),))).fetchall()
    return {row[0]: Held(*row[1:]) for row in rows}


async def write(connection: RawConnection, rows: Sequence[Row], *, now: datetime) -> Mapping[UUID, int]:
    """Write golden records of persons who are in the index; return their versions afterwards."""
    if not rows:
        return {}
    mpis, sealed, tokens, sexes, births, region_codes, maritals = zip(*rows, strict=True)
    columns = (
        *(plain(mpis), octets(sealed), plain(tokens), plain(sexes)),
        *(plain(births), plain(region_codes), plain(maritals)),
    )
    written: Sequence[Any] = await (await connection.execute(WRITE, (now, *columns))).fetchall()
    return dict(written)


async def recompute(
    connection: RawConnection,
    mpis: Sequence[UUID],
    *,
    sealer: Sealer,
    blinder: Blinder,
    rules: Survivorship | None = None,
    now: datetime,
) -> Mapping[UUID, int]:
    """Hold the rows of persons of today and compute their golden records again; return the versions that are new.

    One whose record comes out as it was, or of whom nothing was said, is left alone.

    Raises:
        SealBroken: a row was edited; nothing is written.
    """
    if not mpis:
        return {}
    held = await lock(connection, mpis)
    said = await contributions(connection, mpis, sealer=sealer)
    rows: list[Row] = []
    for mpi, all_of_her in zip(mpis, said, strict=True):
        if not all_of_her or mpi not in held:
            continue
        made = survive([each.statement for each in all_of_her], rules)
        if not is_as(made, mpi, held[mpi], sealer=sealer):
            rows.append(row_of(mpi, made, sealer=sealer, blinder=blinder))
    return await write(connection, rows, now=now)


async def provenance(
    connection: RawConnection, mpi: UUID, *, sealer: Sealer, rules: Survivorship | None = None
) -> Golden | None:
    """Return a person's golden record with who said each field, computed anew; None for one of whom nothing was said.

    Raises:
        SealBroken: a contribution was edited.
    """
    (said,) = await contributions(connection, [mpi], sealer=sealer)
    return survive([each.statement for each in said], rules) if said else None
