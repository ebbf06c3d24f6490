"""Search and counts over the database and the archive as if they were one, and the way of a month into the archive."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from yimatong.access.caller import Scope
from yimatong.cards.errors import CountFieldUnknown, PageMarkInvalid, SpanInvalid, TooManyGroups
from yimatong.cards.records import queries
from yimatong.cards.records.archive import Archive
from yimatong.cards.records.conditions import Mark, conditions
from yimatong.cards.records.schemas import COUNT_BY, Count, CountTable, Filters, Part, Record
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection, Database

PARTS_MAX: Final = 31
"""How many archived days one search looks into before it answers with a cursor to go on."""
COUNT_DAYS_MAX: Final = 92
GROUPS_MAX: Final = 10_000
EXPORT_MAX: Final = 100_000
_EXPORT_PAGE: Final = 2000


def archive_at(folder: Path, vault: Vault) -> Archive:
    """Return the archive in a folder, for who may not make one."""
    return Archive(folder, vault)


class Looked(msgspec.Struct, frozen=True):
    """What one transaction gave: the records of the database, and the archived days that may have more.

    ``filters`` name every number of the account where one was asked for.
    """

    records: list[Record]
    parts: list[Part]
    filters: Filters


async def look(connection: Connection, *, scope: Scope, filters: Filters, after: Mark | None, limit: int) -> Looked:
    """Search the database and name the archived days to look into, in one transaction."""
    await queries.hold(connection)
    if len(filters.vuids) == 1:
        filters = msgspec.structs.replace(filters, vuids=await queries.group_of(connection, filters.vuids[0]))
    rows = await queries.online(connection, scope=scope, filters=filters, after=after, limit=limit + 1)
    return Looked(rows, await queries.archived_parts(connection, filters=filters, after=after), filters)


async def complete(
    found: Looked, archive: Archive, *, scope: Scope, after: Mark | None, limit: int
) -> tuple[list[Record], Mark | None]:
    """Add what the archive has, outside any transaction; return a page and the mark of the next one, if there is one.

    Raises:
        ArchiveAway, ArchiveDamaged: an archived day cannot be read.
    """
    wanted = conditions(scope, found.filters)
    rows = list(found.records)
    for number, part in enumerate(found.parts):
        if len(rows) > limit and rows[limit].at > part.last_at:
            break
        if number == PARTS_MAX:
            cut: Mark = (part.last_at + timedelta(microseconds=1), "")
            shown = [row for row in rows if (row.at, row.record_id) >= cut][:limit]
            return shown, mark_of(shown[-1]) if len(shown) == limit else cut
        rows += await archive.find(part, wanted, after=after, limit=limit + 1)
        rows.sort(key=lambda row: (row.at, row.record_id), reverse=True)
        del rows[limit + 1 :]
    return rows[:limit], mark_of(rows[limit - 1]) if len(rows) > limit else None


async def search(
    db: Database, archive: Archive, *, scope: Scope, filters: Filters, after: Mark | None = None, limit: int = 50
) -> tuple[list[Record], Mark | None]:
    """Return a page of records, newest first, and the mark of the next one; errors as ``complete``."""
    async with db.read() as connection:
        found = await look(connection, scope=scope, filters=filters, after=after, limit=limit)
    return await complete(found, archive, scope=scope, after=after, limit=limit)


async def every(
    db: Database, archive: Archive, *, scope: Scope, filters: Filters, most: int = EXPORT_MAX
) -> AsyncIterator[list[Record]]:
    """Return records page by page, ``most`` in all; errors as ``complete``."""
    after: Mark | None = None
    while most > 0:
        rows, after = await search(
            db, archive, scope=scope, filters=filters, after=after, limit=min(_EXPORT_PAGE, most)
        )
        most -= len(rows)
        yield rows
        if after is None:
            return


async def counts(
    db: Database, archive: Archive, *, by: Sequence[str], scope: Scope, filters: Filters, now: datetime
) -> CountTable:
    """Count records by any of ``COUNT_BY``, in the order of the values.

    Raises:
        SpanInvalid: longer than ``COUNT_DAYS_MAX`` days. CountFieldUnknown. TooManyGroups. ArchiveAway, ArchiveDamaged.
    """
    _check_count(by, filters, now=now)
    async with db.read() as connection:
        await queries.hold(connection)
        if len(filters.vuids) == 1:
            filters = msgspec.structs.replace(filters, vuids=await queries.group_of(connection, filters.vuids[0]))
        found = await queries.counted(connection, by=by, scope=scope, filters=filters, limit=GROUPS_MAX + 1)
        parts = await queries.archived_parts(connection, filters=filters)
    total: Counter[tuple[str, ...]] = Counter(dict(found))
    wanted = conditions(scope, filters)
    for part in parts:
        for values, number in await archive.count(part, wanted, by=by, limit=GROUPS_MAX + 1):
            total[values] += number
    if len(total) > GROUPS_MAX:
        raise TooManyGroups(most=GROUPS_MAX)
    return CountTable(
        by=tuple(by),
        counts=[Count(values=values, number=number) for values, number in sorted(total.items())],
        total=sum(total.values()),
    )


def _check_count(by: Sequence[str], filters: Filters, *, now: datetime) -> None:
    unknown = [name for name in by if name not in COUNT_BY]
    if unknown or len(set(by)) < len(by):
        raise CountFieldUnknown(field=(unknown or list(by))[0][:40])
    until = filters.until or now
    if filters.since is None or until - filters.since > timedelta(days=COUNT_DAYS_MAX):
        raise SpanInvalid(days=COUNT_DAYS_MAX)


def check_span(filters: Filters) -> None:
    """Refuse a span that ends before it begins.

    Raises:
        SpanInvalid.
    """
    if filters.since is not None and filters.until is not None and filters.until <= filters.since:
        raise SpanInvalid(days=COUNT_DAYS_MAX)


def mark_of(record: Record) -> Mark:
    """Return the mark of a record."""
    return record.at, record.record_id


def cursor(mark: Mark | None) -> str:
    """Write a mark for an address; empty for None."""
    if mark is None:
        return ""
    micros = (mark[0] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros} {mark[1]}".encode()).decode().rstrip("=")


def mark_from(text: str) -> Mark | None:
    """Read a mark; None for an empty text.

    Raises:
        PageMarkInvalid.
    """
    if not text:
        return None
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        micros, record_id = plain.split(" ")
        if not micros.isdigit() or not (record_id.isprintable() and len(record_id) <= 64):  # noqa: PLR2004 -- as in Identifier
            raise PageMarkInvalid
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros)), record_id
    except (ValueError, OverflowError, binascii.Error) as error:
        raise PageMarkInvalid from error
