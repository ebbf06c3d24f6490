"""Partitions made ahead, and the way of an old month into the archive.

A month leaves in one transaction that holds its partition still from the first row read to the last: every day is
written, read back and compared with the database; the folder appears by a rename; then the partition is dropped and the
archive's row written, together. Killed at any moment, the month is whole in the database or whole in the archive, and
the next run goes on: a finished folder is compared again and kept, an unfinished one is made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import insert, text

from yimatong.cards.errors import ArchiveDamaged, ArchiveDiffers, MonthInvalid, MonthNotOver
from yimatong.cards.models import code_record, record_archive
from yimatong.cards.records import parquet, queries
from yimatong.cards.records.archive import Archive
from yimatong.cards.records.conditions import COLUMNS
from yimatong.cards.records.schemas import Manifest, Part
from yimatong.kit import alarms, partitions
from yimatong.kit.clock import day_bounds
from yimatong.kit.db import Connection, Database

KEPT_LEAST: Final = 1
"""The present month and the one before are never archived."""
ASIDE: Final = "records-aside"
"""The alarm: a month was archived again, and the folder that stood there is not what the database holds."""
_DETAIL_MAX: Final = 500
Say = Callable[[str], None]
"""Is told every step: for a progress display, and for the drill that ends the process there."""
_DAY_MAX: Final = 12_000_000
"""Rows of one day that a digest can be made of (PostgreSQL gathers at most 1 GB in one value)."""


async def keep_partitions(connection: Connection, *, now: datetime) -> tuple[list[date], int]:
    """Make the months ahead, and one for every month that rows had no partition for; return those and the rows left.

    Rows of a month that is archived already stay in the default partition, where searches find them; they raise an
    alarm, because nothing should be recorded for a month so long ago.
    """
    first = partitions.month_of(now)
    wanted = {partitions.later(first, ahead) for ahead in range(partitions.MONTHS_AHEAD + 1)}
    stray = await partitions.months_in_rest(connection, code_record)
    archived = await queries.archived_months(connection)
    made = await partitions.make_months(
        connection, code_record, wanted | {month for month in stray if f"{month:%Y-%m}" not in archived}
    )
    left = sum(number for month, number in stray.items() if f"{month:%Y-%m}" in archived)
    if stray:
        listed = ", ".join(f"{month:%Y-%m}: {number}" for month, number in stray.items())
        await alarms.raise_alarm(
            connection, kind="records-partition", subject="cards_code_record_rest", detail=listed, now=now
        )
    return made, left


async def months_online(connection: Connection) -> list[date]:
    """Return the months that have a partition, oldest first."""
    return await partitions.months_present(connection, code_record)


async def months_due(connection: Connection, *, keep: int, now: datetime) -> list[date]:
    """Return the months that are older than the present one by more than ``keep``, oldest first."""
    last = partitions.later(partitions.month_of(now), -max(keep, KEPT_LEAST))
    return [month for month in await partitions.months_present(connection, code_record) if month < last]


def month_from(written: str, *, now: datetime) -> date:
    """Read ``2025-10``.

    Raises:
        MonthInvalid. MonthNotOver: it or a month before it may still get records.
    """
    try:
        month = datetime.strptime(written, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise MonthInvalid(month=written[:20]) from error
    if month > partitions.later(partitions.month_of(now), -KEPT_LEAST):
        raise MonthNotOver(month=written)
    return month


async def archive_months(
    db: Database, archive: Archive, *, before: date | None, keep: int, now: datetime, say: Say = lambda _text: None
) -> list[Manifest]:
    """Archive every month that lies before ``before`` (by default: that is older than ``keep`` months), oldest first.

    Raises:
        ArchiveRunning: another process does it. ArchiveDiffers: what was read back is not what the database holds.
    """
    with archive.alone():
        async with db.read() as connection:
            if before is None:
                due = await months_due(connection, keep=keep, now=now)
            else:
                due = [each for each in await partitions.months_present(connection, code_record) if each < before]
            # a partition that came back after its month had left must not put its few rows in the archive's place
            left = await queries.archived_months(connection)
            due = [each for each in due if f"{each:%Y-%m}" not in left]
        return [await archive_month(db, archive, month, now=now, say=say) for month in due]


async def archive_month(db: Database, archive: Archive, month: date, *, now: datetime, say: Say) -> Manifest:
    """Archive one month that has a partition; errors as ``archive_months``."""
    name = f"{month:%Y-%m}"
    child = partitions.partition(code_record, month)
    async with db.transaction() as connection:
        for setting in ("statement_timeout = 0", "idle_in_transaction_session_timeout = 0"):
            await connection.execute(text(f"SET LOCAL {setting}"))
        await connection.execute(text(f"LOCK TABLE {child} IN SHARE MODE"))
        say(f"{name} locked")
        days = await _days(connection, child)
        kept = await _standing_folder(connection, archive, child, name, days)
        manifest, digest = kept or await _write(connection, archive, child, name, days, say=say)
        say(f"{name} written")
        aside = archive.aside(name)
        if aside:
            detail = f"{', '.join(aside)}; now {manifest.rows} rows, manifest {digest.hex()[:16]}"
            await alarms.raise_alarm(connection, kind=ASIDE, subject=name, detail=detail[:_DETAIL_MAX], now=now)
        await partitions.drop_month(connection, code_record, month)
        say(f"{name} dropped")
        await connection.execute(
            insert(record_archive).values(
                month=name,
                rows=manifest.rows,
                parts=msgspec.to_builtins(manifest.parts),
                manifest_sm3=digest.hex(),
                archived_at=now,
            )
        )
        say(f"{name} entered")
    say(f"{name} archived: {manifest.rows}")
    return manifest


async def _write(
    connection: Connection, archive: Archive, child: str, name: str, days: Sequence[tuple[date, int]], *, say: Say
) -> tuple[Manifest, bytes]:
    folder = f"{name}.partial"
    archive.prepare(folder)
    parts = []
    for day, rows in days:
        part = await _write_day(connection, archive, child, folder=folder, day=day, rows=rows)
        parts.append(part)
        say(f"{part.name} {rows}")
    manifest = Manifest(month=name, rows=sum(part.rows for part in parts), parts=parts)
    say(f"{name} compared")
    return manifest, archive.finish(folder, name, manifest)


async def _write_day(
    connection: Connection, archive: Archive, child: str, *, folder: str, day: date, rows: int
) -> Part:
    """Write one day, read it back from the disk, and compare every column with the database."""
    file = f"{day:%Y-%m-%d}.parquet.sealed"
    if rows > _DAY_MAX:
        raise ArchiveDiffers(name=file, audit=f"{rows} rows in one day")
    plain = await _copied(connection, child, day)
    size, sha256, sm3 = await archive.put(folder, file, rows, plain)
    start, end = day_bounds(day)
    moments = (
        await connection.execute(
            text(f"SELECT min(at), max(at) FROM {child} WHERE at >= :start AND at < :end"),  # noqa: S608 -- a partition of ours
            {"start": start, "end": end},
        )
    ).one()
    part = Part(
        name=file,
        rows=rows,
        first_at=moments[0].astimezone(UTC),
        last_at=moments[1].astimezone(UTC),
        size=size,
        sha256=sha256,
        sm3=sm3,
        columns=await _digests(connection, child, day),
    )
    if await archive.digests(part, folder) != (rows, part.columns):
        raise ArchiveDiffers(name=file)
    return part


async def _standing_folder(
    connection: Connection, archive: Archive, child: str, name: str, days: Sequence[tuple[date, int]]
) -> tuple[Manifest, bytes] | None:
    """Return the manifest of a folder that a run before finished, if it holds exactly what the database does."""
    found = archive.standing(name)
    if found is None or [(part.name[:10], part.rows) for part in found[0].parts] != [
        (f"{day:%Y-%m-%d}", rows) for day, rows in days
    ]:
        return None
    for part, (day, rows) in zip(found[0].parts, days, strict=True):
        columns = await _digests(connection, child, day)
        try:
            if part.columns != columns or await archive.digests(part, name) != (rows, columns):
                return None
        except ArchiveDamaged:
            return None
    return found


async def _days(connection: Connection, child: str) -> list[tuple[date, int]]:
    rows = await connection.execute(
        text(
            f"SELECT (at AT TIME ZONE 'Asia/Shanghai')::date, count(*) FROM {child} GROUP BY 1 ORDER BY 1"  # noqa: S608 -- a partition of ours
        )
    )
    return [(row[0], row[1]) for row in rows]


async def _digests(connection: Connection, child: str, day: date) -> dict[str, str]:
    """Return SHA-256 over each column of a day, as ``parquet.digests`` makes it."""
    shown = [
        f"encode(sha256(convert_to(string_agg(coalesce(({_micros if name == 'at' else name})::text, chr(2)), chr(10)"
        " ORDER BY at, record_id COLLATE \"C\"), 'UTF8')), 'hex')"
        for name in COLUMNS
    ]
    row = (
        await connection.execute(
            text(f"SELECT {', '.join(shown)} FROM {child} WHERE at >= :start AND at < :end"),  # noqa: S608 -- columns of ours
            dict(zip(("start", "end"), day_bounds(day), strict=True)),
        )
    ).one()
    return dict(zip(COLUMNS, row, strict=True))


_micros = "(extract(epoch FROM at) * 1000000)::bigint"


async def _copied(connection: Connection, child: str, day: date) -> bytes:
    """Return one day as a Parquet file; the rows travel as one COPY, through memory only."""
    chosen = ", ".join(f"{_micros} AS at" if name == "at" else name for name in COLUMNS)
    start, end = (f"'{moment.isoformat()}'" for moment in day_bounds(day))
    raw: Any = (await connection.get_raw_connection()).driver_connection
    statement = (
        f"COPY (SELECT {chosen} FROM {child} WHERE at >= {start} AND at < {end}) TO STDOUT"  # noqa: S608 -- names and moments of ours
        f" (FORMAT csv, NULL '{parquet.NULL}')"
    )
    with parquet.memory_file() as (_, path):
        with Path(path).open("wb") as file:  # noqa: ASYNC230 -- a file in memory
            async with raw.cursor() as cursor, cursor.copy(statement) as copy:
                async for block in copy:
                    file.write(block)
        return await asyncio.to_thread(parquet.write, path)
