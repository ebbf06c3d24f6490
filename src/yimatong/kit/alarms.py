"""Alarms: what a person must look at. One row for each kind and subject until somebody acknowledges it.

Raising an open alarm again counts it and keeps the newest detail; an acknowledged one opens anew. ``subject`` names a
thing by its number (a caller, an order), ``detail`` says what happened; neither holds personal data.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select, text, update

from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal
from yimatong.kit.models import alarm


class AlarmNotOpen(Refusal):
    """No such alarm, or somebody acknowledged it already."""

    code = "KIT-1301"
    status = 409
    zh = "该告警不存在或已有人确认"
    en = "no such open alarm"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm as people read it; ``count`` is how often it was raised between ``first_at`` and ``last_at``."""

    id: int
    kind: str
    subject: str
    detail: str
    first_at: datetime
    last_at: datetime
    count: int
    acknowledged_by: str | None
    acknowledged_at: datetime | None


_ON_CONFLICT = """
    ON CONFLICT (kind, subject) WHERE acknowledged_at IS NULL DO UPDATE
        SET count = a.count + 1, last_at = greatest(a.last_at, excluded.last_at), detail = excluded.detail
"""
_RAISE = text(
    "INSERT INTO kit_alarm AS a (kind, subject, detail, first_at, last_at)"  # noqa: S608 -- constants of this module
    " VALUES (:kind, :subject, :detail, :at, :at)" + _ON_CONFLICT
)


def raising(rows: str) -> str:
    """Return the SQL that raises an alarm for every (kind, subject, detail, at) of the query ``rows``.

    For statements of the coalesced path; the subjects of one statement must differ and come in their order.
    """
    return (
        "INSERT INTO kit_alarm AS a (kind, subject, detail, first_at, last_at)"  # noqa: S608 -- a query of our own
        f" SELECT kind, subject, detail, at, at FROM ({rows}) AS r (kind, subject, detail, at)" + _ON_CONFLICT
    )


async def raise_alarm(connection: Connection, *, kind: str, subject: str, detail: str, now: datetime) -> None:
    """Raise an alarm in the open transaction; one that is open already is counted."""
    await connection.execute(_RAISE, {"kind": kind, "subject": subject, "detail": detail, "at": now})


async def alarms(
    connection: Connection, *, still_open: bool = True, since: datetime | None = None, limit: int = 100
) -> Sequence[Alarm]:
    """Return alarms, those raised last first; ``still_open`` leaves the acknowledged ones out."""
    query = select(alarm).order_by(alarm.c.last_at.desc(), alarm.c.id.desc()).limit(limit)
    if still_open:
        query = query.where(alarm.c.acknowledged_at.is_(None))
    if since is not None:
        query = query.where(alarm.c.last_at >= since)
    return [Alarm(**row._mapping) for row in await connection.execute(query)]  # noqa: SLF001 -- SQLAlchemy's accessor


async def acknowledge(connection: Connection, alarm_id: int, *, operator_id: str, now: datetime) -> None:
    """Note that an operator saw an alarm.

    Raises:
        AlarmNotOpen: none, or acknowledged before.
    """
    done = await connection.execute(
        update(alarm)
        .where(alarm.c.id == alarm_id, alarm.c.acknowledged_at.is_(None))
        .values(acknowledged_by=operator_id, acknowledged_at=now)
        .returning(alarm.c.id)
    )
    if done.first() is None:
        raise AlarmNotOpen
