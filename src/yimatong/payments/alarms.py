"""Alarms about money: rows for a person to look at, and a line in the log. The same alarm is raised once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert

from yimatong.kit.db import Connection
from yimatong.payments.models import alarm


async def raise_alarm(
    connection: Connection, *, kind: str, account_id: str, number: str, detail: str, now: datetime
) -> None:
    """Keep an alarm; ``number`` is the attempt or refund it is about, ``detail`` holds no personal data."""
    await connection.execute(
        insert(alarm)
        .values(kind=kind, account_id=account_id, number=number, detail=detail, at=now)
        .on_conflict_do_nothing(index_elements=["kind", "account_id", "number", "detail"])
    )
