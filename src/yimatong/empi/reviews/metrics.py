"""How the steward's desk does: queue length by day, age, decisions by person and day, agreement of double checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Date, cast, func, select, true

from yimatong.access.caller import Scope
from yimatong.empi.models import double_check, review
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.db import Connection

DAYS_MAX: Final = 92


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One Beijing day: reviews opened and settled on it, and how many waited at its end."""

    day: date
    opened: int
    decided: int
    waiting: int


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What one steward decided on one Beijing day; decisions that were undone do not count."""

    operator_id: str
    day: date
    merged: int
    rejected: int


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Double checks of a period: those drawn, those judged a second time, and how often both said the same."""

    drawn: int
    checked: int
    same: int
    unsure: int

    @property
    def share(self) -> float | None:
        """Return the part of the second judgements, without the unsure ones, that agreed; None: there are none."""
        judged = self.checked - self.unsure
        return self.same / judged if judged else None


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page. Ages are in seconds, of what waits now; None where nothing waits."""

    days: tuple[Day, ...]
    work: tuple[Work, ...]
    agreement: Agreement
    median_age_s: float | None
    oldest_age_s: float | None

    @property
    def waiting(self) -> int:
        """Return how many wait at the end of the last day."""
        return self.days[-1].waiting if self.days else 0


async def read(connection: Connection, *, scope: Scope, now: datetime, days: int = 30) -> Metrics:
    """Return the numbers of the last ``days`` Beijing days, today among them."""
    today = business_date(now)
    wanted = [today - timedelta(days=ago) for ago in range(min(days, DAYS_MAX) - 1, -1, -1)]
    start, _ = day_bounds(wanted[0])
    median, oldest = await _ages(connection, scope=scope, now=now)
    return Metrics(
        days=await _days(connection, wanted, start, scope=scope),
        work=await _work(connection, start, scope=scope),
        agreement=await _agreement(connection, start, scope=scope),
        median_age_s=median,
        oldest_age_s=oldest,
    )


def _own(scope: Scope) -> ColumnElement[bool]:
    return true() if scope.all_rows else review.c.institution_id == (scope.institution_id or "")


def _day_of(column: ColumnElement[Any]) -> ColumnElement[date]:
    return cast(func.timezone("Asia/Shanghai", column), Date)


async def _days(connection: Connection, wanted: Sequence[date], start: datetime, *, scope: Scope) -> tuple[Day, ...]:
    async def by_day(column: ColumnElement[Any]) -> dict[date, int]:
        rows = await connection.execute(
            select(_day_of(column).label("day"), func.count().label("number"))
            .where(column >= start, _own(scope))
            .group_by("day")
        )
        return {row.day: row.number for row in rows}

    before = await connection.execute(
        select(func.count()).where(
            review.c.opened_at < start, (review.c.decided_at.is_(None)) | (review.c.decided_at >= start), _own(scope)
        )
    )
    opened, decided = await by_day(review.c.opened_at), await by_day(review.c.decided_at)
    waiting, found = before.scalar_one(), []
    for day in wanted:
        waiting += opened.get(day, 0) - decided.get(day, 0)
        found.append(Day(day=day, opened=opened.get(day, 0), decided=decided.get(day, 0), waiting=waiting))
    return tuple(found)


async def _ages(connection: Connection, *, scope: Scope, now: datetime) -> tuple[float | None, float | None]:
    age = func.extract("epoch", now - review.c.opened_at)
    row = (
        await connection.execute(
            select(func.percentile_cont(0.5).within_group(age), func.max(age)).where(
                review.c.decided_at.is_(None), _own(scope)
            )
        )
    ).one()
    return (None, None) if row[0] is None else (float(row[0]), float(row[1]))


async def _work(connection: Connection, start: datetime, *, scope: Scope) -> tuple[Work, ...]:
    rows = await connection.execute(
        select(
            review.c.decided_by,
            _day_of(review.c.decided_at).label("day"),
            func.count().filter(review.c.state == "merged").label("merged"),
            func.count().filter(review.c.state == "rejected").label("rejected"),
        )
        .where(
            review.c.decided_at >= start,
            review.c.decided_by.is_not(None),
            review.c.state.in_(("merged", "rejected")),
            _own(scope),
        )
        .group_by(review.c.decided_by, "day")
        .order_by("day", review.c.decided_by)
    )
    return tuple(
        Work(operator_id=row.decided_by, day=row.day, merged=row.merged, rejected=row.rejected) for row in rows
    )


async def _agreement(connection: Connection, start: datetime, *, scope: Scope) -> Agreement:
    checked = double_check.c.checked_at.is_not(None)
    row = (
        await connection.execute(
            select(
                func.count().label("drawn"),
                func.count().filter(checked).label("checked"),
                func.count().filter(double_check.c.second_outcome == double_check.c.first_outcome).label("same"),
                func.count().filter(double_check.c.second_outcome == "unsure").label("unsure"),
            )
            .join(review, review.c.review_id == double_check.c.review_id)
            .where(double_check.c.drawn_at >= start, _own(scope))
        )
    ).one()
    return Agreement(drawn=row.drawn, checked=row.checked, same=row.same, unsure=row.unsure)
