"""The key ceremonies of an installation and what the worker does for its keys by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from procrastinate import App

from yimatong.access import resealing
from yimatong.access.ceremony.service import Ceremonies
from yimatong.access.ceremony.windows import Windows
from yimatong.apps.assembly import Parts
from yimatong.apps.sealed import places
from yimatong.cards.codec import TTL_S_MAX
from yimatong.cards.codes.judgement import SKEW_S_MAX
from yimatong.cards.records import queries as records
from yimatong.crypto.devices.base import KeyUsage
from yimatong.kit import alarms, clock, jobs, log

PUT_BACK = "keys-put-back"
"""Kind of the alarm."""

_SETTLE_S: Final = 60
"""A request that was under way when a version took over, and the clocks of the nodes."""

CODE_LIFE: Final = timedelta(seconds=TTL_S_MAX + SKEW_S_MAX + _SETTLE_S)
"""No code verifies later than this after its version was followed by another."""


def ceremonies(parts: Parts) -> Ceremonies:
    """Return the ceremonies over this installation's device and everything that is sealed."""

    async def remaining(version: int) -> dict[str, int]:
        return await resealing.remaining(parts.db, places(parts.settings), version)

    async def issued(usage: str, version: int, since: datetime) -> int:
        async with parts.db.read() as connection:
            if usage == KeyUsage.SIGNING:
                return await records.issued_signed(connection, since)
            return await records.issued_under(connection, version, since)

    return Ceremonies(
        parts.db,
        parts.vault.device,
        remaining=remaining,
        windows=Windows(life=CODE_LIFE, issued=issued),
        anchor=parts.vault.anchor,
    )


async def watch(parts: Parts) -> int:
    """Raise an alarm for each key version that went back behind the ledger; return how many did."""
    found = await ceremonies(parts).standing()
    if found:
        async with parts.db.transaction() as connection:
            for entry, device in found:
                await alarms.raise_alarm(
                    connection,
                    kind=PUT_BACK,
                    subject=f"{entry.usage} {entry.version}",
                    detail=f"ledger={entry.state.value} kcv={entry.kcv or '-'} device={device}",
                    now=clock.now(),
                )
    return len(found)


def add_jobs(app: App, parts: Parts) -> None:
    """Add the jobs: sealing anew after a rotation, and watching that no older state of the keys was put back."""

    @app.periodic(cron="* * * * *")
    @app.task(name="access.reseal", queueing_lock="access.reseal", retry=jobs.RETRY)
    async def reseal(timestamp: int) -> None:
        done = await resealing.reseal(parts.db, parts.vault, places(parts.settings), now=clock.now)
        if done:
            log.KitLog.JOB_DONE.emit(job="access.reseal", timestamp=timestamp, resealed=done)

    @app.periodic(cron="* * * * *")
    @app.task(name="access.watch-keys", queueing_lock="access.watch-keys")
    async def watch_keys(timestamp: int) -> None:
        found = await watch(parts)
        if found:
            log.KitLog.JOB_DONE.emit(job="access.watch-keys", timestamp=timestamp, put_back=found)
