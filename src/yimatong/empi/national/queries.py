"""How the exchange stands: counts of the ledger, what was refused, notices that are stuck."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from yimatong.empi.national import statements
from yimatong.empi.national.schemas import Progress, RefusedItem, StuckNotice
from yimatong.kit.db import Connection, raw

_LATELY: Final = timedelta(hours=24)

REASONS: Final[dict[str, tuple[str, str]]] = {
    "CERTIFICATE": ("证件号码不合规则", "the certificate's number breaks its rules"),
    "NAME": ("姓名缺失或不合规则", "the name is missing or breaks its rules"),
    "UNKNOWN_PERSON": ("国家平台无此居民", "the national index does not know the person"),
    "DUPLICATE_MESSAGE": ("消息号已用于其他内容", "the message's id was used for something else"),
    "OTHER": ("国家平台未说明原因", "the national index said no reason"),
}
"""Known reasons of refusals in words; others are shown as the national index wrote them."""


async def progress(connection: Connection, *, now: datetime) -> Progress:
    """Return the counts by state, and since when the oldest waits."""
    inside = await raw(connection)
    row: Any = await (await inside.execute(statements.PROGRESS, (now - _LATELY,))).fetchone()
    due, sent, unknown, oldest, refused, acknowledged, waiting, stuck = row
    return Progress(
        due=due,
        sent=sent,
        unknown=unknown,
        refused=refused,
        acknowledged=acknowledged,
        oldest_due=oldest,
        waiting=waiting,
        stuck=stuck,
    )


async def refused(connection: Connection, *, limit: int = 100) -> list[RefusedItem]:
    """Return what the national index refused, the newest first."""
    rows: Any = await (await (await raw(connection)).execute(statements.REFUSED, (limit,))).fetchall()
    return [
        RefusedItem(item_id=row[0], action=row[1], reason=row[2], settled_at=row[3], attempts=row[4]) for row in rows
    ]


async def stuck(connection: Connection, *, limit: int = 100) -> list[StuckNotice]:
    """Return the notices that could not be done, the newest first."""
    rows: Any = await (await (await raw(connection)).execute(statements.STUCK, (limit,))).fetchall()
    return [
        StuckNotice(notice_id=row[0], kind=row[1], state=row[2], outcome=row[3], received_at=row[4]) for row in rows
    ]
