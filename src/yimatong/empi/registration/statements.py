"""The SQL of registering many records at once, on psycopg itself inside its caller's transaction.

Rows go in as one array a column; every table is reached by its key, row by row (LATERAL).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from yimatong.empi.golden import service as golden
from yimatong.empi.registration.cases import Behind
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection

_LOCK: Final = "SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS i (k)"

_SOURCES: Final = """
    SELECT i.ord, coalesce(p.current_mpi, p.mpi), c.mpi, c.contribution_id, c.provider, c.kind, c.sealed, c.sex,
           c.birth_date, c.real_name_level, c.at, c.domain, c.source_blind
    FROM unnest(%s::int[], %s::text[], %s::bytea[]) AS i (ord, d, b)
    JOIN LATERAL (SELECT * FROM empi_contribution
                  WHERE domain = i.d AND source_blind = i.b AND current AND source_blind IS NOT NULL LIMIT 1) c ON true
    JOIN LATERAL (SELECT mpi, current_mpi FROM empi_person WHERE mpi = c.mpi LIMIT 1) p ON true
"""

_HOLDERS: Final = """
    SELECT i.ord, coalesce(p.current_mpi, c.mpi)
    FROM unnest(%s::int[], %s::text[], %s::bytea[]) AS i (ord, t, b)
    JOIN LATERAL (SELECT mpi FROM empi_certificate WHERE id_type = i.t AND id_blind = i.b LIMIT 1) c ON true
    LEFT JOIN LATERAL (SELECT current_mpi FROM empi_person WHERE mpi = c.mpi LIMIT 1) p ON true
"""

_CERTIFICATES: Final = """
    SELECT i.ord, g.mpi, c.id_type, c.id_blind, c.replaced_at IS NULL FROM unnest(%s::int[], %s::uuid[]) AS i (ord, m)
    JOIN LATERAL (SELECT i.m AS mpi UNION ALL SELECT mpi FROM empi_person WHERE current_mpi = i.m) g ON true
    LEFT JOIN LATERAL (SELECT id_type, id_blind, replaced_at FROM empi_certificate
                       WHERE mpi = g.mpi AND id_type <> '98') c ON true
"""

_CLAIM_FOR: Final = """
    UPDATE empi_certificate c SET mpi = i.m FROM unnest(%s::text[], %s::bytea[], %s::uuid[]) AS i (t, b, m)
    WHERE c.id_type = i.t AND c.id_blind = i.b
"""

_REPLACED: Final = """
    UPDATE empi_certificate c SET replaced_at = %s::timestamptz FROM unnest(%s::text[], %s::bytea[]) AS i (t, b)
    WHERE c.id_type = i.t AND c.id_blind = i.b
"""

_NOT_CURRENT: Final = """
    UPDATE empi_contribution c SET current = false FROM unnest(%s::uuid[], %s::text[]) AS i (m, c)
    WHERE c.mpi = i.m AND c.contribution_id = i.c
"""

_UNBLOCK: Final = """
    DELETE FROM empi_block b USING unnest(%s::bigint[], %s::uuid[]) AS i (t, m) WHERE b.token = i.t AND b.mpi = i.m
"""

_ENTRIES: Final = """
    INSERT INTO empi_domain_entry (mpi, domain_id, domain, kind, entry_key, birth_date_estimated, entered_at)
    SELECT m, n, d, 'no_certificate', k, e, %s::timestamptz
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bytea[], %s::bool[]) AS i (m, n, d, k, e)
    ON CONFLICT DO NOTHING
"""

_IDENTIFIED: Final = """
    UPDATE empi_domain_entry SET state = 'identified', identified_at = %s::timestamptz
    WHERE mpi = ANY(%s::uuid[]) AND state = 'open'
"""

_COMPARE_AGAIN: Final = "UPDATE empi_person SET compared_at = NULL WHERE mpi = ANY(%s::uuid[])"


async def lock(connection: RawConnection, keys: Sequence[int]) -> None:
    """Hold advisory locks, in the order given, until the transaction ends."""
    if keys:
        await connection.execute(_LOCK, (plain(keys),))


async def look_up(
    connection: RawConnection, sources: Sequence[tuple[str, bytes]], certificates: Sequence[tuple[int, str, bytes]]
) -> tuple[dict[int, Any], dict[int, UUID]]:
    """Return what is known of each source record, by index, and the person of each certificate (index, type, blind).

    A source's row is (current person, then the columns of ``golden.service.opened``). Both go in one round trip.
    """
    domains, blinds = zip(*sources, strict=True)
    columns = (plain(range(len(sources))), texts(domains), octets(blinds))
    first = await connection.execute(_SOURCES, columns)
    second = None
    if certificates:
        ords, types, numbers = zip(*certificates, strict=True)
        second = await connection.execute(_HOLDERS, (plain(ords), plain(types), octets(numbers)))
    known: Sequence[Any] = await first.fetchall()
    held: Sequence[Any] = await second.fetchall() if second is not None else ()
    return {row[0]: row[1:] for row in known}, {row[0]: row[1] for row in held}


async def hold(
    connection: RawConnection, mpis: Sequence[UUID]
) -> tuple[dict[UUID, golden.Held], dict[UUID, list[Any]], dict[UUID, Behind]]:
    """Hold the rows of persons of today; return them, what was said of each, and what stands behind each."""
    if not mpis:
        return {}, {}, {}
    columns = (plain(range(len(mpis))), plain(mpis))
    first = await connection.execute(golden.LOCK, (plain(mpis),))
    second = await connection.execute(golden.CONTRIBUTIONS, columns)
    third = await connection.execute(_CERTIFICATES, columns)
    rows: Sequence[Any] = await first.fetchall()
    held = {row[0]: golden.Held(*row[1:]) for row in rows}
    said: dict[UUID, list[Any]] = {mpi: [] for mpi in mpis}
    stated: Sequence[Any] = await second.fetchall()
    for row in stated:
        said[mpis[row[0]]].append(row[1:])
    members: dict[UUID, set[UUID]] = {mpi: {mpi} for mpi in mpis}
    certificates: dict[UUID, set[tuple[str, bytes]]] = {mpi: set() for mpi in mpis}
    claims: dict[UUID, set[tuple[str, bytes]]] = {mpi: set() for mpi in mpis}
    claimed: Sequence[Any] = await third.fetchall()
    for index, own, id_type, blind, valid in claimed:
        members[mpis[index]].add(own)
        if id_type is not None:
            claims[mpis[index]].add((id_type, bytes(blind)))
        if id_type is not None and valid:
            certificates[mpis[index]].add((id_type, bytes(blind)))
    behind = {
        mpi: Behind(frozenset(members[mpi]), frozenset(certificates[mpi]), frozenset(claims[mpi])) for mpi in mpis
    }
    return held, said, behind


async def claim_for(connection: RawConnection, claims: Sequence[tuple[str, bytes, UUID]]) -> None:
    """Give claims of this transaction, as (type, blind), to the persons whom the records turned out to be."""
    if claims:
        types, blinds, mpis = zip(*claims, strict=True)
        await connection.execute(_CLAIM_FOR, (plain(types), octets(blinds), plain(mpis)))


async def replaced(connection: RawConnection, certificates: Sequence[tuple[str, bytes]], *, now: datetime) -> None:
    """Note that certificates, as (type, blind), were replaced by others of their holders."""
    if certificates:
        types, blinds = zip(*certificates, strict=True)
        await connection.execute(_REPLACED, (now, plain(types), octets(blinds)))


async def not_current(connection: RawConnection, contributions: Sequence[tuple[UUID, str]]) -> None:
    """Note that statements, as (id they were entered for, contribution), were replaced by their source."""
    if contributions:
        mpis, ids = zip(*contributions, strict=True)
        await connection.execute(_NOT_CURRENT, (plain(mpis), plain(ids)))


async def unblock(connection: RawConnection, found_by: Sequence[tuple[UUID, int]]) -> None:
    """Let ids no longer be found by these tokens."""
    if found_by:
        mpis, tokens = zip(*found_by, strict=True)
        await connection.execute(_UNBLOCK, (plain(tokens), plain(mpis)))


async def enter_in_domain(
    connection: RawConnection, entries: Sequence[tuple[UUID, str, str, bytes, bool]], *, now: datetime
) -> None:
    """Enter (person, domain id, domain, entry key, birth date estimated) into the domain index."""
    if entries:
        mpis, ids, domains, keys, estimated = zip(*entries, strict=True)
        await connection.execute(
            _ENTRIES, (now, plain(mpis), plain(ids), texts(domains), octets(keys), plain(estimated))
        )


async def identified(connection: RawConnection, mpis: Sequence[UUID], *, now: datetime) -> None:
    """Note that residents of the domain index are known by a certificate now; every id that means them."""
    if mpis:
        await connection.execute(_IDENTIFIED, (now, plain(mpis)))


async def compare_again(connection: RawConnection, mpis: Sequence[UUID]) -> None:
    """Have the worker compare persons with everybody else again."""
    if mpis:
        await connection.execute(_COMPARE_AGAIN, (plain(mpis),))
