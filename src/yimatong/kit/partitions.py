"""Tables that grow for ever, cut into one partition a Beijing month, so that an old month leaves in one step.

The parent is ``PARTITION BY RANGE (at)``. A month's partition is ``<table>_2026_11``, from the first moment of the
month in Beijing to that of the next (its bounds in UTC lie eight hours before midnight). ``<table>_rest`` is the
default partition: a row of a month that nobody made a partition for is stored there, because a verification must not
fail for it, and is moved by ``make_months`` to the partition of its month. What stays in it is counted, so that it
never fills in silence. A fresh database gets the present month and the next three when it is migrated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import Table, text

from yimatong.kit.append_only import add_triggers
from yimatong.kit.clock import BEIJING
from yimatong.kit.db import Connection

MONTHS_AHEAD: Final = 3
"""How many months after the present one have their partition: the job may fail for a quarter before it matters."""

_MAKE: Final = """
    CREATE OR REPLACE FUNCTION kit_make_month_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        child text := parent || to_char(month, '"_"YYYY"_"MM');
        rest text := parent || '_rest';
        start timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'Asia/Shanghai';
        stop timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai';
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('kit_make_month_partition'), hashtext(parent));
        IF to_regclass(quote_ident(child)) IS NOT NULL THEN
            RETURN false;
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
                       child, parent);
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', rest);
        EXECUTE format('WITH moved AS (DELETE FROM %I WHERE at >= %L AND at < %L RETURNING *) '
                       'INSERT INTO %I SELECT * FROM moved', rest, start, stop, child);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, start, stop);
        RETURN true;
    END $$
"""
"""ATTACH, not CREATE .. PARTITION OF: it lets the parent's readers and writers go on."""


def month_partitions(table: Table) -> None:
    """Give a table that is partitioned by its column ``at`` a default partition, and its first months."""
    add_triggers(
        table,
        _MAKE,
        f"CREATE TABLE IF NOT EXISTS {table.name}_rest PARTITION OF {table.name} DEFAULT",
        f"""
    SELECT kit_make_month_partition('{table.name}', (date_trunc('month', now() AT TIME ZONE 'Asia/Shanghai')
        + ahead * interval '1 month')::date) FROM generate_series(0, {MONTHS_AHEAD}) AS ahead
    """,  # noqa: S608 -- a table of ours
    )


def month_of(moment: datetime) -> date:
    """Return the first day of the Beijing month of an aware moment."""
    return moment.astimezone(BEIJING).date().replace(day=1)


def later(month: date, months: int) -> date:
    """Return the first day of the month that lies ``months`` after (negative: before) this one."""
    years, rest = divmod(month.year * 12 + month.month - 1 + months, 12)
    return date(years, rest + 1, 1)


def month_bounds(month: date) -> tuple[datetime, datetime]:
    """Return the first moment of a Beijing month and of the next one, both in UTC."""
    start, end = (datetime(day.year, day.month, 1, tzinfo=BEIJING) for day in (month, later(month, 1)))
    return start.astimezone(UTC), end.astimezone(UTC)


def partition(table: Table, month: date) -> str:
    """Return the name of a month's partition."""
    return f"{table.name}_{month:%Y_%m}"


async def make_months(connection: Connection, table: Table, months: Iterable[date]) -> list[date]:
    """Make the partitions that are missing, each with the rows of its month out of the default one; return the made."""
    made = []
    for month in sorted(set(months)):
        done = await connection.execute(
            text("SELECT kit_make_month_partition(:parent, :month)"), {"parent": table.name, "month": month}
        )
        if done.scalar_one():
            made.append(month)
    return made


async def months_present(connection: Connection, table: Table) -> list[date]:
    """Return the months that have a partition, oldest first."""
    rows = await connection.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(:parent) ORDER BY 1"
        ),
        {"parent": table.name},
    )
    names = [str(name).removeprefix(f"{table.name}_") for name in rows.scalars()]
    return [date(int(name[:4]), int(name[5:]), 1) for name in names if name != "rest"]


async def months_in_rest(connection: Connection, table: Table) -> dict[date, int]:
    """Count the rows of the default partition by their month."""
    rows = await connection.execute(
        text(
            f"SELECT date_trunc('month', at AT TIME ZONE 'Asia/Shanghai')::date, count(*) FROM {table.name}_rest"  # noqa: S608 -- a table of ours
            " GROUP BY 1 ORDER BY 1"
        )
    )
    return {row[0]: row[1] for row in rows}


async def drop_month(connection: Connection, table: Table, month: date) -> None:
    """Take a month out of its table and remove it, in the open transaction; waits two seconds for its users at most."""
    child = partition(table, month)
    await connection.execute(text("SET LOCAL lock_timeout = '2s'"))
    await connection.execute(text(f"ALTER TABLE {table.name} DETACH PARTITION {child}"))
    await connection.execute(text(f"DROP TABLE {child}"))
