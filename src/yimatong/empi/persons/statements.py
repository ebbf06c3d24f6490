"""The SQL of identifying many residents at once, on psycopg itself inside its caller's transaction.

Rows go in as one array a column. Every table is reached by its key, row by row (LATERAL), so that the plan does not
depend on how many rows the tables had when it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from yimatong.empi.records import Row as Row  # noqa: PLC0414 -- offered here as well
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection

CLAIM = """
    INSERT INTO empi_certificate (id_type, id_blind, mpi, claimed_at)
    SELECT t, b, m, %s::timestamptz FROM unnest(%s::text[], %s::bytea[], %s::uuid[]) AS i (t, b, m) ORDER BY t, b
    ON CONFLICT DO NOTHING RETURNING id_type, id_blind
"""

LOOK_UP = """
    SELECT i.ord, ARRAY(SELECT mpi FROM empi_person WHERE current_mpi = q.mpi),
           p.mpi, p.sealed, p.sex, p.birth_date, p.state, p.deceased_on
    FROM unnest(%s::int[], %s::text[], %s::bytea[]) AS i (ord, t, b)
    JOIN LATERAL (SELECT mpi FROM empi_certificate WHERE id_type = i.t AND id_blind = i.b LIMIT 1) c ON true
    LEFT JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = c.mpi LIMIT 1) q ON true
    LEFT JOIN LATERAL (SELECT * FROM empi_person WHERE mpi = q.mpi LIMIT 1) p ON true
"""

PERSONS = """
    INSERT INTO empi_person (mpi, sealed, search_tokens, sex, birth_date, region_code, marital, compared_at, created_at,
                             changed_at)
    SELECT m, s, n::bigint[], x, d, r, w, CASE WHEN k THEN %s::timestamptz END, %s::timestamptz, %s::timestamptz
    FROM unnest(%s::uuid[], %s::bytea[], %s::text[], %s::text[], %s::date[], %s::text[], %s::text[], %s::bool[])
        AS i (m, s, n, x, d, r, w, k)
"""

CONTRIBUTIONS = """
    INSERT INTO empi_contribution (mpi, contribution_id, provider, sealed, real_name_method, real_name_level,
                                   real_name_trace, kind, sex, birth_date, domain, source_blind, real_name_at, at)
    SELECT m, c, p, s, w, l, t, k, x, d, o, b, %s::timestamptz, %s::timestamptz
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::smallint[], %s::text[], %s::text[],
                %s::text[], %s::date[], %s::text[], %s::bytea[])
        AS i (m, c, p, s, w, l, t, k, x, d, o, b)
"""

RELEASE = """
    DELETE FROM empi_certificate c USING unnest(%s::text[], %s::bytea[], %s::uuid[]) AS i (t, b, m)
    WHERE c.id_type = i.t AND c.id_blind = i.b AND c.mpi = i.m
"""

BLOCK = """
    INSERT INTO empi_block (token, mpi) SELECT t, m FROM unnest(%s::bigint[], %s::uuid[]) AS i (t, m) ORDER BY t, m
    ON CONFLICT DO NOTHING
"""

KNOWN = """
    SELECT i.ord, q.mpi, ARRAY(SELECT mpi FROM empi_person WHERE current_mpi = q.mpi)
    FROM unnest(%s::int[], %s::text[], %s::bytea[]) AS i (ord, t, b)
    JOIN LATERAL (SELECT mpi FROM empi_certificate WHERE id_type = i.t AND id_blind = i.b LIMIT 1) c ON true
    JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = c.mpi LIMIT 1) q ON true
"""


class NewContribution(NamedTuple):
    """A row of what a provider said; ``source``: the record's identifier domain, and its number's blind."""

    mpi: UUID
    contribution_id: str
    provider: str
    sealed: bytes
    method: str
    level: int
    trace_no: str = ""
    kind: str = "registration"
    sex: str | None = None
    birth_date: date | None = None
    source: tuple[str, bytes] | None = None


async def claim(
    connection: RawConnection, certificates: Sequence[tuple[str, bytes, UUID]], *, now: datetime
) -> set[tuple[str, bytes]]:
    """Claim each (type, blind) for its person, in sorted order; return those that nobody had."""
    types, blinds, mpis = zip(*certificates, strict=True)
    cursor = await connection.execute(CLAIM, (now, plain(types), octets(blinds), plain(mpis)))
    rows: Sequence[Any] = await cursor.fetchall()
    return {(row[0], bytes(row[1])) for row in rows}


async def release(connection: RawConnection, certificates: Sequence[tuple[str, bytes, UUID]]) -> None:
    """Undo claims of this transaction."""
    types, blinds, mpis = zip(*certificates, strict=True)
    await connection.execute(RELEASE, (plain(types), octets(blinds), plain(mpis)))


async def holders(connection: RawConnection, certificates: Sequence[tuple[str, bytes]]) -> dict[int, Any]:
    """Return (persons joined to her, mpi, sealed, sex, birth date, state, day of death) of the current person by index.

    None stands where her row is missing.
    """
    types, blinds = zip(*certificates, strict=True)
    cursor = await connection.execute(LOOK_UP, (plain(range(len(types))), plain(types), octets(blinds)))
    rows: Sequence[Any] = await cursor.fetchall()
    return {row[0]: None if row[2] is None else tuple(row[1:]) for row in rows}


async def known(connection: RawConnection, certificates: Sequence[tuple[str, bytes]]) -> dict[int, tuple[UUID, ...]]:
    """Return the current person of each known certificate and those joined to her, by index."""
    types, blinds = zip(*certificates, strict=True)
    cursor = await connection.execute(KNOWN, (plain(range(len(types))), plain(types), octets(blinds)))
    rows: Sequence[Any] = await cursor.fetchall()
    return {row[0]: (row[1], *row[2]) for row in rows}


async def enter(
    connection: RawConnection, persons: Sequence[Row], *, now: datetime, compared: Sequence[bool] | None = None
) -> None:
    """Insert new persons; ``compared`` says of each whether she was compared with everybody else already."""
    mpis, sealed, tokens, sexes, births, regions, maritals = zip(*persons, strict=True)
    columns = (
        *(plain(mpis), octets(sealed), plain(tokens), plain(sexes), plain(births), plain(regions), plain(maritals)),
        plain(compared or [False] * len(persons)),
    )
    await connection.execute(PERSONS, (now, now, now, *columns))


async def contribute(
    connection: RawConnection, said: Sequence[NewContribution], *, proven_at: datetime, now: datetime
) -> None:
    """Insert what the providers said."""
    mpis, ids, providers, sealed, methods, levels, traces, kinds, sexes, births, sources = zip(*said, strict=True)
    columns = (
        *(plain(mpis), plain(ids), texts(providers), octets(sealed), plain(methods), plain(levels), texts(traces)),
        *(plain(kinds), plain(sexes), plain(births)),
        texts(None if source is None else source[0] for source in sources),
        octets(None if source is None else source[1] for source in sources),
    )
    await connection.execute(CONTRIBUTIONS, (proven_at, now, *columns))


async def block(connection: RawConnection, found_by: Sequence[tuple[UUID, int]]) -> None:
    """Let persons be found by blocking tokens, in sorted order."""
    if found_by:
        mpis, tokens = zip(*found_by, strict=True)
        await connection.execute(BLOCK, (plain(tokens), plain(mpis)))
