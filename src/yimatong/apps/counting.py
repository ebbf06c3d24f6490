"""Storing what a process counts of the payment channels' answers, beside its requests: every few seconds, by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from litestar import Litestar

from yimatong.apps.assembly import Parts
from yimatong.kit.errors import DatabaseUnavailable
from yimatong.kit.log import KitLog
from yimatong.payments.health import service as health

PAUSE_S: Final = 3.0


def counting(parts: Parts) -> object:
    """Return the lifespan of an application that calls channels: counts are stored while it runs, and at its end."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(_run(parts))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await _store(parts)

    return lifespan


async def _run(parts: Parts) -> None:
    while True:
        await asyncio.sleep(PAUSE_S)
        await _store(parts)


async def _store(parts: Parts) -> None:
    try:
        await health.flush(parts.db, parts.tally)
    except DatabaseUnavailable as error:
        KitLog.DATABASE_AWAY.emit(loop="tally", cause=error.audit)
