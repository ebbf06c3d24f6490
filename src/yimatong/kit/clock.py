"""The one place where the wall clock is read. Everything below the edge takes ``now`` as an argument."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Civil time of every business day, bill and page (GB/T 7408: UTC+08:00, no daylight saving)."""


def now() -> datetime:
    """Return the present moment, aware, in UTC. Called at the edge, in workers and in scripts only."""
    return datetime.now(UTC)


def business_date(moment: datetime) -> date:
    """Return the Beijing calendar day of an aware moment."""
    return moment.astimezone(BEIJING).date()


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return the first moment of a Beijing calendar day and of the next one, both in UTC."""
    start = datetime(day.year, day.month, day.day, tzinfo=BEIJING)
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    """Write an aware moment as RFC 3339 in Beijing time, to the second: ``2026-11-23T09:30:00+08:00``."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")
