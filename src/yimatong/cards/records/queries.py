"""Every SELECT on the records that are kept in the database, and on the list of archived months.

``hold`` comes first in a transaction that looks at both: it keeps a month from being archived in between, so that a
record is seen once, in the database or in the archive (LOCK TABLE takes no snapshot, so it works on a fresh one).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, and_, func, literal_column, or_, select, text, true, tuple_

from yimatong.access.caller import Scope
from yimatong.cards.models import account, code_record, record_archive
from yimatong.cards.records.conditions import COLUMNS, FIELDS, Condition, Mark, conditions
from yimatong.cards.records.schemas import Filters, Part, Record, Standing
from yimatong.kit.db import Connection

_BEIJING: Final = func.timezone("Asia/Shanghai", code_record.c.at)
_TIMES: Final = {"hour": 'YYYY-MM-DD"T"HH24', "day": "YYYY-MM-DD", "month": "YYYY-MM"}
_OPERATORS: Final[dict[str, Any]] = {
    "=": lambda column, value: column == value,
    "<>": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    ">=": lambda column, value: column >= value,
    "in": lambda column, value: column.in_(value),
    "is": lambda column, _value: column.is_(None),
}
STANDING_S: Final = 60
"""Over how long the institutions of the live picture are measured."""


async def issued_under(connection: Connection, version: int, since: datetime) -> int:
    """Count the codes that were made with a version of the protection key since a moment."""
    return await _issued(connection, since, code_record.c.key_version == version)


async def issued_signed(connection: Connection, since: datetime) -> int:
    """Count the signed codes that were made since a moment, with any signing key."""
    return await _issued(connection, since, code_record.c.code_kind == "offline")


async def _issued(connection: Connection, since: datetime, which: ColumnElement[bool]) -> int:
    mine = and_(code_record.c.at >= since, code_record.c.event == "issued", which)
    return int((await connection.execute(select(func.count()).select_from(code_record).where(mine))).scalar_one())


async def hold(connection: Connection) -> None:
    """Keep partitions from being removed until the transaction ends; readers and writers go on."""
    await connection.execute(text("LOCK TABLE ONLY cards_code_record IN ACCESS SHARE MODE"))


async def online(
    connection: Connection, *, scope: Scope, filters: Filters, after: Mark | None = None, limit: int
) -> list[Record]:
    """Return records of the database, newest first; ``after`` is the last one of the page before."""
    query = select(*(code_record.c[name] for name in COLUMNS)).where(_where(conditions(scope, filters)))
    if after is not None:
        query = query.where(tuple_(code_record.c.at, code_record.c.record_id) < tuple_(*after))
        query = query.where(code_record.c.at <= after[0])  # the row comparison alone does not leave partitions out
    rows = await connection.execute(
        query.order_by(code_record.c.at.desc(), code_record.c.record_id.desc()).limit(limit)
    )
    return [_record(row) for row in rows]


async def counted(
    connection: Connection, *, by: Sequence[str], scope: Scope, filters: Filters, limit: int
) -> list[tuple[tuple[str, ...], int]]:
    """Count the records of the database by some of ``COUNT_BY``; at most ``limit`` groups."""
    fields = [
        func.to_char(_BEIJING, _TIMES[name]) if name in _TIMES else func.coalesce(code_record.c[FIELDS[name]], "")
        for name in by
    ]
    positions = [text(str(index + 1)) for index in range(len(fields))]
    query = select(*fields, func.count()).where(_where(conditions(scope, filters)))
    rows = await connection.execute((query.group_by(*positions) if positions else query).limit(limit))
    return [(tuple(row[:-1]), row[-1]) for row in rows if row[-1]]


async def archived_parts(connection: Connection, *, filters: Filters, after: Mark | None = None) -> list[Part]:
    """Return the parts of the archive that a search has to look into, newest first."""
    rows = await connection.execute(select(record_archive.c.parts))
    found = [part for row in rows for part in msgspec.convert(row.parts, list[Part])]
    wanted = [part for part in found if _overlaps(part, filters, after)]
    return sorted(wanted, key=lambda part: part.first_at, reverse=True)


def _overlaps(part: Part, filters: Filters, after: Mark | None) -> bool:
    return (
        (filters.since is None or part.last_at >= filters.since)
        and (filters.until is None or part.first_at < filters.until)
        and (after is None or part.first_at <= after[0])
    )


async def archived_months(connection: Connection) -> dict[str, int]:
    """Return the rows of every archived month, by ``yyyy-mm``."""
    rows = await connection.execute(select(record_archive.c.month, record_archive.c.rows))
    return {row.month: row.rows for row in rows}


async def group_of(connection: Connection, vuid: str) -> tuple[str, ...]:
    """Return every number of the account that this VUID is or was one of; the VUID alone if nobody has it."""
    first = select(func.coalesce(account.c.alias_of, account.c.vuid)).where(account.c.vuid == vuid).scalar_subquery()
    rows = await connection.execute(
        select(account.c.vuid).where(or_(account.c.vuid == first, account.c.alias_of == first)).distinct()
    )
    return tuple(sorted({vuid, *rows.scalars()}))


async def by_second(
    connection: Connection, *, scope: Scope, since: datetime, until: datetime
) -> list[tuple[datetime, str, str, int]]:
    """Return how often what happened in each second of a short span: (second, event, result, number)."""
    second = func.date_trunc("second", code_record.c.at)
    rows = await connection.execute(
        select(second, code_record.c.event, code_record.c.result, func.count())
        .where(_where(conditions(scope, Filters(since=since, until=until))))
        .group_by(text("1"), code_record.c.event, code_record.c.result)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def standing(connection: Connection, *, scope: Scope, now: datetime) -> list[Standing]:
    """Return how the institutions did in the last minute, and all of them together under an empty id."""
    since = now - timedelta(seconds=STANDING_S)
    institution = func.coalesce(code_record.c.institution_id, literal_column("'-'"))
    percentile = func.percentile_disc(0.95).within_group(code_record.c.took_ms)
    rows = await connection.execute(
        select(institution, func.count(), func.count().filter(code_record.c.result != "ok"), percentile)
        .where(_where(conditions(scope, Filters(since=since, until=now, event="verified"))))
        .group_by(func.rollup(institution))
    )
    return [
        Standing(
            institution_id=None if row[0] == "-" else row[0] or "",
            number=row[1],
            refused=row[2],
            p95_ms=None if row[3] is None else int(row[3]),
        )
        for row in rows
    ]


def _where(found: Sequence[Condition]) -> ColumnElement[bool]:
    return and_(true(), *(_OPERATORS[each.operator](code_record.c[each.column], each.value) for each in found))


def _record(row: Row[Any]) -> Record:
    return Record(**{name: getattr(row, name) for name in COLUMNS} | {"at": row.at.astimezone(UTC)})
