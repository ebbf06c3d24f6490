"""The SQL of registering many residents at once, on psycopg itself inside its caller's transaction.

Rows go in as one array a column; every table is reached by its key, row by row (LATERAL), so that the plan does not
depend on how many rows the tables had when it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from yimatong.cards.accounts.history import Origin
from yimatong.cards.topics import ACCOUNTS_CHANGED, MESSAGE_ITEMS_MAX
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection

_BEFORE = """
    SELECT i.ord, r.mpi, a.vuid, a.vuid_key_version
    FROM unnest(%s::int[], %s::text[], %s::bytea[], %s::text[]) AS i (ord, t, b, known)
    LEFT JOIN LATERAL (SELECT mpi FROM cards_registry_resident WHERE id_type = i.t AND id_blind = i.b LIMIT 1) r ON true
    LEFT JOIN LATERAL (SELECT vuid, vuid_key_version FROM cards_account
                       WHERE mpi = ANY(coalesce(i.known::uuid[], ARRAY[r.mpi])) AND state <> 'alias'
                       ORDER BY opened_at DESC LIMIT 1) a ON true
    WHERE r.mpi IS NOT NULL OR i.known IS NOT NULL
"""

_STANDING = """
    SELECT i.ord, a.vuid, a.state, a.opened_at, coalesce(g.latest, 0), coalesce(h.strongest, 0), h.own
    FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS i (ord, mpis, vuid, holder)
    LEFT JOIN LATERAL (SELECT vuid, state, opened_at FROM cards_account
                       WHERE mpi = ANY(i.mpis::uuid[]) AND state NOT IN ('cancelled', 'alias')
                       ORDER BY opened_at, vuid LIMIT 1) a ON true
    LEFT JOIN LATERAL (SELECT max(generation) AS latest FROM cards_account WHERE vuid = i.vuid) g ON true
    LEFT JOIN LATERAL (SELECT max(real_name_level) AS strongest,
                              max(real_name_level) FILTER (WHERE holder = i.holder) AS own
                       FROM cards_holder WHERE vuid = coalesce(a.vuid, i.vuid)) h ON true
"""

_OPEN = """
    INSERT INTO cards_account (vuid, generation, mpi, vuid_key_version, state, codes_valid_from, opened_at, changed_at)
    SELECT v, g, m, k, 'active', CASE WHEN g > 1 THEN %s::timestamptz END, %s::timestamptz, %s::timestamptz
    FROM unnest(%s::text[], %s::smallint[], %s::uuid[], %s::smallint[]) AS i (v, g, m, k) ORDER BY v
    ON CONFLICT DO NOTHING RETURNING vuid
"""

_HOLD = """
    INSERT INTO cards_holder (vuid, holder, real_name_level, since)
    SELECT v, h, l, %s::timestamptz FROM unnest(%s::text[], %s::text[], %s::smallint[]) AS i (v, h, l) ORDER BY v, h
    ON CONFLICT (vuid, holder) DO UPDATE SET real_name_level = excluded.real_name_level
"""

_NOTE = """
    INSERT INTO cards_account_event (vuid, event_id, what, actor, at, actor_kind, institution_id, front_id, request_id)
    SELECT v, e, 'opened', a, %s::timestamptz, k, i, f, r
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
        AS o (v, e, a, k, i, f, r)
"""


_LOCK = "SELECT 1 FROM cards_account WHERE vuid = ANY(%s::text[]) ORDER BY vuid, generation FOR UPDATE"

_ANNOUNCE = """
    INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at)
    VALUES (%s, %s, %s::jsonb, %s::timestamptz, %s::timestamptz)
"""


class Before(NamedTuple):
    """What is known of a certificate before the transaction: the registry's person, and the newest account's VUID."""

    registry_mpi: UUID | None
    vuid: str | None
    key_version: int


class Standing(NamedTuple):
    """What a person has: her live account, how many the VUID had, the strongest proof, and this holder's own."""

    vuid: str | None
    state: str
    opened_at: datetime | None
    generations: int
    strongest: int
    own: int | None


async def before(
    connection: RawConnection, certificates: Sequence[tuple[str, bytes]], known: Sequence[tuple[UUID, ...]]
) -> dict[int, Before]:
    """Return what registry and accounts know, by index; nothing for one whom neither knows."""
    types, blinds = zip(*certificates, strict=True)
    columns = (plain(range(len(types))), plain(types), octets(blinds), plain(_each(known)))
    rows: Sequence[Any] = await (await connection.execute(_BEFORE, columns)).fetchall()
    return {row[0]: Before(row[1], row[2], row[3] or 0) for row in rows}


async def standing(connection: RawConnection, asked: Sequence[tuple[tuple[UUID, ...], str, str]]) -> list[Standing]:
    """Return how each (persons, VUID, holder) stands, in order; the index may have joined several persons."""
    if not asked:
        return []
    mpis, vuids, holders = zip(*asked, strict=True)
    columns = (plain(range(len(asked))), plain(_each(mpis)), plain(vuids), texts(holders))
    rows: Sequence[Any] = await (await connection.execute(_STANDING, columns)).fetchall()
    by_index = {row[0]: Standing(*row[1:]) for row in rows}
    return [by_index[index] for index in range(len(asked))]


async def open_accounts(
    connection: RawConnection, opened: Sequence[tuple[str, int, UUID, int]], *, now: datetime
) -> set[str]:
    """Open (VUID, generation, person, key version) and return the VUIDs that were opened.

    Of two at once the second waits and is not among them.
    """
    if not opened:
        return set()
    vuids, generations, mpis, versions = zip(*opened, strict=True)
    columns = (plain(vuids), plain(generations), plain(mpis), plain(versions))
    rows: Sequence[Any] = await (await connection.execute(_OPEN, (now, now, now, *columns))).fetchall()
    return {row[0] for row in rows}


async def hold(connection: RawConnection, held: Sequence[tuple[str, str, int]], *, now: datetime) -> None:
    """Let each (VUID, holder) show codes by a proof of this level."""
    if held:
        vuids, holders, levels = zip(*held, strict=True)
        await connection.execute(_HOLD, (now, plain(vuids), texts(holders), plain(levels)))


async def note_opened(connection: RawConnection, opened: Sequence[tuple[str, str, Origin]], *, now: datetime) -> None:
    """Write (VUID, event id, from where) into the accounts' histories."""
    if not opened:
        return
    vuids, events, origins = zip(*opened, strict=True)
    columns = (
        plain(vuids),
        plain(events),
        texts(each.actor for each in origins),
        plain(each.actor_kind for each in origins),
        texts(each.institution_id for each in origins),
        texts(each.front_id for each in origins),
        texts(each.request_id for each in origins),
    )
    await connection.execute(_NOTE, (now, *columns))


async def announce(
    connection: RawConnection, accounts: Sequence[tuple[UUID, str, str, str, bytes]], *, opened: bool, now: datetime
) -> None:
    """Tell the registry of (person, VUID, state, certificate type, blind): ``registry.announcing`` for this path.

    The message's number is drawn while the accounts' rows are locked; those opened here are so already.
    """
    if accounts and not opened:
        await connection.execute(_LOCK, (plain(each[1] for each in accounts),))
    for start in range(0, len(accounts), MESSAGE_ITEMS_MAX):
        told = [
            {"mpi": mpi.hex, "vuid": vuid, "state": state, "instead_of": None, "certificates": [[id_type, blind.hex()]]}
            for mpi, vuid, state, id_type, blind in accounts[start : start + MESSAGE_ITEMS_MAX]
        ]
        payload = msgspec.json.encode({"persons": told, "at_least": 0}).decode()
        key = f"registry:{told[0]['mpi']}"
        await connection.execute(_ANNOUNCE, (ACCOUNTS_CHANGED, key, payload, now, now))


def _each(persons: Iterable[tuple[UUID, ...]]) -> Iterator[str | None]:
    """Write each list of persons as an array of its own; none as NULL."""
    for mpis in persons:
        yield '"{' + ",".join(map(str, mpis)) + '}"' if mpis else None
