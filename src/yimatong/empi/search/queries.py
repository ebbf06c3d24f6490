"""The SQL of searching: candidates by tokens and birth dates, never by reading the whole index.

Each alternative of tokens is looked up by itself (LATERAL), so that the GIN index answers ``@>`` with one bitmap and
no estimate of arrays decides the plan; sequential scans are switched off for the rest of the transaction, as the
batches do, because a plan for a LIMIT may prefer one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final, NamedTuple
from uuid import UUID

from yimatong.access import callers
from yimatong.access.caller import Caller
from yimatong.empi.golden.survivorship import PROVEN
from yimatong.kit.arrays import plain
from yimatong.kit.db import Connection, RawConnection, raw

_BY_KEY: Final = "SET LOCAL enable_seqscan = off"
_FILTERS: Final = """
    (%(sex)s::text = '' OR sex = %(sex)s) AND (%(from)s::date IS NULL OR birth_date >= %(from)s::date)
    AND (%(to)s::date IS NULL OR birth_date <= %(to)s::date)
    AND (%(region)s::text = '' OR starts_with(region_code, %(region)s))
    AND (%(cancelled)s OR state <> 'cancelled')
"""
_COLUMNS: Final = "mpi, sealed, sex, birth_date, region_code, state, deceased_on, current_mpi"

BY_TOKENS: Final = f"""
    SELECT DISTINCT ON (p.mpi) p.* FROM unnest(%(tokens)s::text[]) AS q (t)
    CROSS JOIN LATERAL (SELECT {_COLUMNS} FROM empi_person
                        WHERE search_tokens @> q.t::bigint[] AND {_FILTERS} LIMIT %(most)s) p
"""  # noqa: S608 -- constants of this module
BY_BIRTH: Final = f"""
    SELECT {_COLUMNS} FROM empi_person
    WHERE birth_date BETWEEN %(first)s AND %(last)s AND {_FILTERS} LIMIT %(most)s
"""  # noqa: S608
BY_ID: Final = f"""
    SELECT {_COLUMNS} FROM empi_person WHERE mpi = ANY(%(mpis)s) OR current_mpi = ANY(%(mpis)s)
"""  # noqa: S608
TODAY: Final = """
    SELECT mpi, sealed, sex, birth_date, region_code, state, deceased_on, current_mpi, marital, version
    FROM empi_person WHERE mpi = ANY(%s)
"""
SEEN: Final = """
    SELECT DISTINCT coalesce(p.current_mpi, p.mpi) FROM empi_person p
    JOIN LATERAL (SELECT 1 FROM empi_contribution WHERE mpi = p.mpi AND provider = ANY(%(names)s)
                  AND (provider = ANY(%(vouching)s) OR real_name_level >= %(proven)s) LIMIT 1) c ON true
    WHERE p.mpi = ANY(%(mpis)s) OR p.current_mpi = ANY(%(mpis)s)
"""


class Row(NamedTuple):
    """A row of the person index that may fit."""

    mpi: UUID
    sealed: bytes
    sex: str
    birth_date: date | None
    region_code: str | None
    state: str
    deceased_on: date | None
    current_mpi: UUID | None

    @property
    def today(self) -> UUID:
        """Return whom the row means today."""
        return self.current_mpi or self.mpi


class Filters(NamedTuple):
    """What narrows candidates by clear columns."""

    sex: str
    born_from: date | None
    born_to: date | None
    region: str
    cancelled: bool

    def values(self, most: int) -> dict[str, object]:
        """Return the parameters of ``_FILTERS``."""
        return {
            "sex": self.sex,
            "from": self.born_from,
            "to": self.born_to,
            "region": self.region,
            "cancelled": self.cancelled,
            "most": most,
        }


async def by_tokens(
    connection: RawConnection, alternatives: Sequence[Sequence[int]], filters: Filters, *, most: int
) -> list[Row]:
    """Return rows that carry all tokens of one of the alternatives, ``most`` of each at most."""
    sets = (f'"{{{",".join(map(str, each))}}}"' for each in alternatives)
    await connection.execute(_BY_KEY)
    cursor = await connection.execute(BY_TOKENS, filters.values(most) | {"tokens": plain(sets)})
    return [_row(row) for row in await cursor.fetchall()]


async def by_birth(connection: RawConnection, first: date, last: date, filters: Filters, *, most: int) -> list[Row]:
    """Return rows of people born in a range of days."""
    await connection.execute(_BY_KEY)
    cursor = await connection.execute(BY_BIRTH, filters.values(most) | {"first": first, "last": last})
    return [_row(row) for row in await cursor.fetchall()]


async def by_id(connection: RawConnection, mpis: Collection[UUID]) -> list[Row]:
    """Return the rows of persons of today and of those retired into them."""
    cursor = await connection.execute(BY_ID, {"mpis": list(mpis)})
    return [_row(row) for row in await cursor.fetchall()]


async def today(connection: RawConnection, mpis: Collection[UUID]) -> dict[UUID, tuple[Row, str, int]]:
    """Return the row, marital status and version of each person."""
    rows: Sequence[Any] = await (await connection.execute(TODAY, (list(mpis),))).fetchall()
    return {row[0]: (_row(row[:8]), row[8] or "", row[9]) for row in rows}


async def seen_by(connection: Connection, mpis: Collection[UUID], *, caller: Caller) -> set[UUID]:
    """Return of which persons a caller has a record that opens what others said of them, under any of their ids.

    What an app states without proof opens nothing: a name and a number from a list of strangers would be enough.
    """
    values = {
        "names": await callers.acting_for(connection, caller),
        "vouching": await callers.vouching_for(connection, caller),
        "proven": PROVEN,
        "mpis": list(mpis),
    }
    rows: Sequence[Any] = await (await (await raw(connection)).execute(SEEN, values)).fetchall()
    return {row[0] for row in rows}


def _row(row: Any) -> Row:
    return Row(row[0], bytes(row[1]), *row[2:])
