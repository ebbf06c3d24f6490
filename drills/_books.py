"""Everybody's books after a drill, read once: the platform's tables, its audit, and what the outside world knows."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from _tellers import Told
from psycopg.rows import dict_row

from yimatong.apps import demonstration
from yimatong.apps.assembly import assemble
from yimatong.cli.story import Cast
from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.kit import audit
from yimatong.kit.audit import AuditBroken
from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError

Row = dict[str, Any]

_TABLES: Final = (
    "cards_account",
    "cards_code_record",
    "cards_code_use",
    "care_visit",
    "care_bill",
    "payments_order",
    "payments_attempt",
    "payments_refund",
    "payments_ledger_entry",
    "kit_outbox",
)
_ACTIONS = "SELECT action, count(*) FROM kit_audit_event WHERE result = 'ok' GROUP BY action"
_UNSETTLED: Final = {
    "outbox": "SELECT count(*) FROM kit_outbox WHERE state = 'pending'",
    "orders": "SELECT count(*) FROM payments_order WHERE state IN ('paying', 'closing')",
    "refunds": "SELECT count(*) FROM payments_refund WHERE state IN ('requested', 'processing', 'unknown')",
    "audit": "SELECT count(*) FROM kit_audit_event WHERE (txid, id) > (SELECT upto_txid, upto_id FROM kit_audit_seal "
    "ORDER BY seq DESC LIMIT 1)",
}


@dataclass
class Books:
    """What each party has written down."""

    tables: dict[str, list[Row]]
    accounts_read: dict[str, Row]
    """By VUID: the account as the app reads it, opened and unsealed."""
    wechat_orders: list[Row]
    wechat_refunds: list[Row]
    booked: list[Row]
    """Events that the hospital's system has booked."""
    audit_rows: int
    audit_covered: int
    audit_fault: str
    audit_actions: dict[str, int] = field(default_factory=dict)
    read_at: float = 0.0
    """Unix seconds."""

    def where(self, table: str, **values: object) -> list[Row]:
        """Return the rows of a table whose columns have these values."""
        return [row for row in self.tables[table] if all(row[name] == value for name, value in values.items())]


def await_settled(database_url: str, *, seconds: float) -> dict[str, int]:
    """Wait until nothing is on its way any more; return what still is when the time is over."""
    until = time.monotonic() + seconds
    while True:
        with psycopg.connect(database_url) as connection:
            counts = {name: _count(connection, query) for name, query in _UNSETTLED.items()}
        left = {name: number for name, number in counts.items() if number}
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.3)


def read(settings: Settings, cast: Cast, told: Told) -> Books:
    """Read all books."""
    covered, fault = asyncio.run(_verify_audit(settings))
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = _count(connection, "SELECT count(*) FROM kit_audit_event")
        actions = {str(row[0]): int(row[1]) for row in connection.execute(_ACTIONS)}
        ours = tables(connection)
    booked = cast.control(f"/control/his/{demonstration.HOSPITALS[0].institution_id}/booked")
    return Books(
        tables=ours,
        accounts_read={each.answer["vuid"]: _account(cast, each.answer["vuid"]) for each in told.of("account")},
        wechat_orders=cast.control("/control/wechat/orders"),
        wechat_refunds=cast.control("/control/wechat/refunds"),
        booked=[row["event"] for row in booked],
        audit_rows=rows,
        audit_covered=covered,
        audit_fault=fault,
        audit_actions=actions,
        read_at=time.time(),
    )


def tables(connection: psycopg.Connection[Any]) -> dict[str, list[Row]]:
    """Read the platform's tables as ``connection`` sees them."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return {name: cursor.execute(f"SELECT * FROM {name}").fetchall() for name in _TABLES}  # noqa: S608 -- fixed names


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _account(cast: Cast, vuid: str) -> Row:
    try:
        found: Row = cast.app.read_account(vuid)
    except ApiError:
        return {}
    return found


async def _verify_audit(settings: Settings) -> tuple[int, str]:
    parts = assemble(settings)
    try:
        key = await parts.vault.audit_key()
        async with parts.db.read() as connection:
            covered = await audit.verify(
                connection, lambda text: hmac_sm3(key, text), anchor=settings.data / "audit-anchor.log"
            )
    except AuditBroken as error:
        return 0, str(error)
    finally:
        await parts.close()
    return covered, ""
