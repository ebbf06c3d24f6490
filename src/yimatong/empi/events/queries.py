"""Reading the changes of persons: each reader in order, from where it stopped, and never past a commit to come.

A change counts as readable once no older transaction is open any more (the snapshot's horizon), so that one that
commits late cannot slip behind a cursor. The cursor moves in the transaction of what the reader makes of the changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from yimatong.kit.db import RawConnection

FORGET_ROWS: Final = 5000
"""How many changes one transaction forgets at most."""

_FIRST = """
    INSERT INTO empi_change_cursor (reader, txid, id, moved_at) VALUES (%s, '0', 0, %s) ON CONFLICT DO NOTHING
"""
_TAKE = "SELECT txid::text, id FROM empi_change_cursor WHERE reader = %s FOR UPDATE SKIP LOCKED"
_WAIT = "SELECT txid::text, id FROM empi_change_cursor WHERE reader = %s FOR UPDATE"
_READ = """
    SELECT c.txid::text, c.id, mpi, kind, other_mpi, domain, provider, version, at FROM empi_change c
    WHERE (c.txid, c.id) > (%s::xid8, %s) AND (c.txid, c.id) <= (%s::xid8, %s)
      AND c.txid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY c.txid, c.id LIMIT %s
"""  # ORDER BY names the table's columns: a bare txid would be the text of the answer, in which 10000 precedes 9999
_MOVE = "UPDATE empi_change_cursor SET txid = %s::xid8, id = %s, moved_at = %s WHERE reader = %s"
_OF_PERSON = """
    SELECT txid::text, id, mpi, kind, other_mpi, domain, provider, version, at FROM empi_change
    WHERE mpi = ANY(%s) OR (other_mpi = ANY(%s) AND kind IN ('merged', 'unmerged') AND mpi <> ALL(%s))
    ORDER BY at DESC, id DESC LIMIT %s
"""
_FORGET = """
    DELETE FROM empi_change WHERE (txid, id) IN (
        SELECT c.txid, c.id FROM empi_change c
        WHERE c.at < %s AND (c.txid, c.id) <= ALL (
            SELECT txid, id FROM empi_change_cursor
            UNION ALL SELECT held_txid, held_id FROM empi_subscription WHERE state = 'paused')
        ORDER BY c.txid, c.id LIMIT %s)
    RETURNING 1
"""
_END = "18446744073709551615"


class Place(NamedTuple):
    """How far a reader is: behind the change with these numbers."""

    txid: str
    id: int


START: Final = Place("0", 0)


class Change(NamedTuple):
    """One change as it was written; ``place`` is its own."""

    place: Place
    mpi: UUID
    kind: str
    other_mpi: UUID | None
    domain: str | None
    provider: str
    version: int
    at: datetime


async def take(connection: RawConnection, reader: str, *, wait: bool = False, now: datetime) -> Place | None:
    """Return how far a reader is, and keep others from reading as it until the transaction ends.

    None: somebody else is reading this moment (never with ``wait``).
    """
    found: Any = await (await connection.execute(_WAIT if wait else _TAKE, (reader,))).fetchone()
    if found is None:
        await connection.execute(_FIRST, (reader, now))
        found = await (await connection.execute(_WAIT if wait else _TAKE, (reader,))).fetchone()
    return None if found is None else Place(*found)


async def after(connection: RawConnection, place: Place, *, upto: Place | None = None, limit: int) -> list[Change]:
    """Return the next changes behind a place, in order, up to another one."""
    last = upto or Place(_END, 0)
    rows: Sequence[Any] = await (await connection.execute(_READ, (*place, *last, limit))).fetchall()
    return [_change(row) for row in rows]


async def move(connection: RawConnection, reader: str, place: Place, *, now: datetime) -> None:
    """Note that a reader is done up to a place; in the transaction of what it did."""
    await connection.execute(_MOVE, (*place, now, reader))


async def of_person(connection: RawConnection, members: Sequence[UUID], *, limit: int) -> list[Change]:
    """Return the changes of all ids of a person, the newest first; old ones are forgotten after a while."""
    ids = list(members)
    rows: Sequence[Any] = await (await connection.execute(_OF_PERSON, (ids, ids, ids, limit))).fetchall()
    return [_change(row) for row in rows]


async def forget(connection: RawConnection, *, before: datetime, most: int = FORGET_ROWS) -> int:
    """Remove changes made before a moment that every reader has behind it, the oldest first; return how many."""
    return len(await (await connection.execute(_FORGET, (before, most))).fetchall())


def _change(row: Sequence[Any]) -> Change:
    return Change(Place(row[0], row[1]), *row[2:])
