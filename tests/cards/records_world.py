"""Records of several months in a database, an archive folder, and the archive run as a process that is killed."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from yimatong.cards.models import code_record
from yimatong.cards.records import retention
from yimatong.cards.records.archive import Archive
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.vault import Vault
from yimatong.kit import partitions
from yimatong.kit.db import Database

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
PASSPHRASE = "a passphrase of the tests"
PLACES = [("inst-1", "term-1"), ("inst-1", "term-2"), ("inst-2", "term-3"), (None, "app-1"), (None, "web")]
RESULTS = ["ok"] * 6 + ["CRD-2003", "CRD-2004", "CRD-2001"]


def vault_of(keystore: Path) -> Vault:
    if not keystore.exists():
        SoftDevice.create_demonstration(keystore, PASSPHRASE)
    return Vault(SoftDevice.open(keystore, PASSPHRASE, production=False), issuer="610000")


def made_rows(month: datetime, number: int, *, seed: int = 7) -> list[dict[str, Any]]:
    """Return records of one month, some of them in the same microsecond, some at its very ends."""
    draw = random.Random(f"{seed}{month}")
    start, end = partitions.month_bounds(month.date())
    moments = [start, end - timedelta(microseconds=1)]
    days = draw.sample(range(2, 26), 6)
    moments += [
        start + timedelta(days=draw.choice(days), microseconds=draw.randrange(86_400_000_000))
        for _ in range(number - 2)
    ]
    moments[5:8] = [moments[4]] * 3
    rows = []
    for at in moments:
        institution, caller = draw.choice(PLACES)
        result = draw.choice(RESULTS) if caller.startswith("term") else "ok"
        unreadable = result == "CRD-2001"
        rows.append(
            {
                "vuid": "" if unreadable else f"{draw.randrange(40):064X}",
                "record_id": f"rec_{int(at.timestamp() * 1000):012x}{draw.getrandbits(80):020x}",
                "at": at,
                "event": "verified" if caller.startswith("term") else "issued",
                "code_kind": "unreadable" if unreadable else draw.choice(["dynamic", "static"]),
                "purpose": draw.choice(["visit", "payment", "records"]),
                "result": result,
                "caller_id": caller,
                "institution_id": institution,
                "front_id": draw.choice([None, "front-1"]),
                "request_id": f"req_{draw.getrandbits(128):032x}",
                "key_version": draw.choice([None, 1, 2]),
                "took_ms": draw.choice([None, 3, 12, 400]),
            }
        )
    return rows


async def fill(db: Database, months: list[datetime], number: int) -> None:
    async with db.transaction() as tx:
        await partitions.make_months(tx, code_record, [month.date() for month in months])
        for month in months:
            await tx.execute(insert(code_record), made_rows(month, number))


async def empty(db: Database) -> None:
    """Take every record, every archived month, every alarm and every partition but the rest away."""
    async with db.transaction() as tx:
        for month in await partitions.months_present(tx, code_record):
            await partitions.drop_month(tx, code_record, month)
        await tx.execute(text("TRUNCATE cards_code_record, cards_record_archive, kit_alarm"))


def killed_run(url: str, folder: str, keystore: str, at_step: int) -> None:
    """Archive everything before 2026-01 and leave the process without a word at the given step."""
    steps = 0

    def say(_text: str) -> None:
        nonlocal steps
        steps += 1
        if steps == at_step:
            os._exit(9)

    async def run() -> None:
        db = Database(url)
        archive = Archive(Path(folder), vault_of(Path(keystore)))
        before = datetime(2026, 1, 1, tzinfo=UTC).date()
        await retention.archive_months(db, archive, before=before, keep=1, now=NOW, say=say)
        await db.close()

    asyncio.run(run())


if __name__ == "__main__":
    killed_run(*sys.argv[1:4], at_step=int(sys.argv[4]))
