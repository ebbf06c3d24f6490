"""Alarms about money: what does not fit our books and a person must look at, among all the platform's alarms."""

from __future__ import annotations

from datetime import datetime

from yimatong.kit import alarms
from yimatong.kit.db import Connection


async def raise_alarm(
    connection: Connection, *, kind: str, account_id: str, number: str, detail: str, now: datetime
) -> None:
    """Raise an alarm; ``number`` is the attempt or refund it is about, ``detail`` holds no personal data."""
    await alarms.raise_alarm(
        connection, kind=f"payments:{kind}", subject=f"{account_id}:{number}", detail=detail, now=now
    )
