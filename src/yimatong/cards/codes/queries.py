"""Every SELECT on codes and their records, off the coalesced path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, and_, func, select, text

from yimatong.access.caller import Scope
from yimatong.cards.codes.schemas import CodeRecord, UsedRecord
from yimatong.cards.errors import RecordNotFound
from yimatong.cards.models import code_record
from yimatong.kit.db import Connection

_NEAR: Final = timedelta(hours=1)
_ID: Final = re.compile(r"rec_([0-9a-f]{12})[0-9a-f]{20}", re.ASCII)


class HourCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often something happened in one hour of the day (Beijing), by result."""

    hour: int
    event: str
    result: str
    number: int


async def used_record(connection: Connection, record_id: str, vuid: str, *, scope: Scope) -> UsedRecord:
    """Return an accepted verification of this scope's institution.

    The id begins with its moment, which names the month's partition; another id is looked for in all of them.

    Raises:
        RecordNotFound: none, refused, or another institution's.
    """
    query = select(code_record).where(
        code_record.c.vuid == vuid,
        code_record.c.record_id == record_id,
        code_record.c.event == "verified",
        code_record.c.result == "ok",
        _own(scope),
    )
    row = None
    made = made_at(record_id)
    if made is not None:
        near = code_record.c.at.between(made - _NEAR, made + _NEAR)
        row = (await connection.execute(query.where(near))).first()
    if row is None:
        row = (await connection.execute(query)).first()
    if row is None:
        raise RecordNotFound
    return UsedRecord(
        record_id=row.record_id, vuid=row.vuid, institution_id=row.institution_id, purpose=row.purpose, at=row.at
    )


async def last_uses(connection: Connection, vuids: Sequence[str], *, limit: int = 10) -> Sequence[CodeRecord]:
    """Return the newest verifications under any of an account's VUIDs (``accounts.queries.group``), for its owner."""
    rows = await connection.execute(
        select(code_record)
        .where(code_record.c.vuid.in_(vuids), code_record.c.event == "verified")
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


def made_at(record_id: str) -> datetime | None:
    """Return the moment that an id of ``kit.ids`` was made, or None for another text."""
    found = _ID.fullmatch(record_id)
    return None if found is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1], 16))


def _own(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that keeps a scope to its own rows."""
    if scope.all_rows:
        return and_(True)  # noqa: FBT003 -- SQLAlchemy's way of an empty condition
    if scope.institution_id is not None:
        return code_record.c.institution_id == scope.institution_id
    return code_record.c.caller_id == scope.caller_id


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
