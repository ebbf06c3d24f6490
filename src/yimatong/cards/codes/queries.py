"""Every SELECT on codes and their records, off the coalesced path."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, func, select, text, tuple_

from yimatong.access.caller import Scope
from yimatong.cards.codes.schemas import CodeRecord, UsedRecord
from yimatong.cards.errors import RecordNotFound
from yimatong.cards.models import code_record
from yimatong.kit.db import Connection


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for among the records; None means any."""

    since: datetime | None = None
    until: datetime | None = None
    event: str | None = None
    result: str | None = None
    purpose: str | None = None
    institution_id: str | None = None
    caller_id: str | None = None


class HourCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often something happened in one hour of the day (Beijing), by result."""

    hour: int
    event: str
    result: str
    number: int


async def used_record(connection: Connection, record_id: str, vuid: str, *, scope: Scope) -> UsedRecord:
    """Return an accepted verification of this scope's institution.

    Raises:
        RecordNotFound: none, refused, or another institution's.
    """
    row = (
        await connection.execute(
            select(code_record).where(
                code_record.c.vuid == vuid,
                code_record.c.record_id == record_id,
                code_record.c.event == "verified",
                code_record.c.result == "ok",
                _own(scope),
            )
        )
    ).first()
    if row is None:
        raise RecordNotFound
    return UsedRecord(
        record_id=row.record_id, vuid=row.vuid, institution_id=row.institution_id, purpose=row.purpose, at=row.at
    )


async def records(
    connection: Connection,
    *,
    scope: Scope,
    filters: Filters,
    after: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> Sequence[CodeRecord]:
    """Return records, newest first; ``after`` is the (at, record_id) of the last one of the page before."""
    query = select(code_record).where(_own(scope), _matching(filters))
    if after is not None:
        query = query.where(tuple_(code_record.c.at, code_record.c.record_id) < tuple_(*after))
    rows = await connection.execute(
        query.order_by(code_record.c.at.desc(), code_record.c.record_id.desc()).limit(limit)
    )
    return [_record(row) for row in rows]


async def last_uses(connection: Connection, vuid: str, *, limit: int = 10) -> Sequence[CodeRecord]:
    """Return the newest verifications of one account, for the resident's own page."""
    rows = await connection.execute(
        select(code_record)
        .where(code_record.c.vuid == vuid, code_record.c.event == "verified")
        .order_by(code_record.c.record_id.desc())
        .limit(limit)
    )
    return [_record(row) for row in rows]


async def counts_by_hour(
    connection: Connection, *, scope: Scope, start: datetime, end: datetime
) -> Sequence[HourCount]:
    """Count issues and verifications of a span by hour (Beijing) and result."""
    hour = func.extract("hour", func.timezone("Asia/Shanghai", code_record.c.at))
    rows = await connection.execute(
        select(hour.label("hour"), code_record.c.event, code_record.c.result, func.count())
        .where(_own(scope), code_record.c.at >= start, code_record.c.at < end)
        .group_by(text("1"), code_record.c.event, code_record.c.result)
        .order_by(text("1"))
    )
    return [HourCount(hour=int(row[0]), event=row[1], result=row[2], number=row[3]) for row in rows]


def _own(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that keeps a scope to its own rows."""
    if scope.all_rows:
        return and_(True)  # noqa: FBT003 -- SQLAlchemy's way of an empty condition
    if scope.institution_id is not None:
        return code_record.c.institution_id == scope.institution_id
    return code_record.c.caller_id == scope.caller_id


def _matching(filters: Filters) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [
        column == wanted
        for column, wanted in (
            (code_record.c.event, filters.event),
            (code_record.c.result, filters.result),
            (code_record.c.purpose, filters.purpose),
            (code_record.c.institution_id, filters.institution_id),
            (code_record.c.caller_id, filters.caller_id),
        )
        if wanted is not None
    ]
    if filters.since is not None:
        conditions.append(code_record.c.at >= filters.since)
    if filters.until is not None:
        conditions.append(code_record.c.at < filters.until)
    return and_(True, *conditions)  # noqa: FBT003 -- SQLAlchemy's way of an empty condition


def _record(row: Row[Any]) -> CodeRecord:
    return CodeRecord(
        record_id=row.record_id,
        vuid=row.vuid,
        at=row.at,
        event=row.event,
        code_kind=row.code_kind,
        purpose=row.purpose,
        result=row.result,
        caller_id=row.caller_id,
        institution_id=row.institution_id,
    )
