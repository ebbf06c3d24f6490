"""Background jobs on procrastinate: queue, retries, locks and schedules in the same database and transaction.

procrastinate leaves a job whose worker was killed in the state ``doing`` for ever; ``revive`` queues it again. Tasks
are therefore safe to run twice, and take what they are about from their arguments, not from the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import UniqueViolation
from sqlalchemy import text

from yimatong.kit.db import Connection

_DEFER = text(
    """
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW(:queue, :task, 0, :lock, NULL, cast(:args AS jsonb), :at)::procrastinate_job_to_defer_v1])
    """
)

RETRY: Final = RetryStrategy(max_attempts=7, exponential_wait=4)
"""A job that fails is tried again after 4, 16, 64, 256, 1024, 4096 and 16384 seconds: six hours in all."""


def app(database_url: str) -> App:
    """Return the job app of this process; rooms add their tasks to it at assembly."""
    return App(connector=PsycopgConnector(conninfo=database_url))


async def defer(
    connection: Connection,
    *,
    task: str,
    args: Mapping[str, object],
    at: datetime | None = None,
    lock: str | None = None,
    queue: str = "default",
) -> None:
    """Queue a job in the open transaction: it exists if and only if the transaction commits."""
    await connection.execute(
        _DEFER, {"queue": queue, "task": task, "lock": lock, "args": msgspec.json.encode(args).decode(), "at": at}
    )


async def revive(scheduled: App) -> int:
    """Queue the jobs of workers that sent no sign of life for half a minute once more; return how many.

    A job whose queueing lock is taken by a younger one waits until that one runs.
    """
    revived = 0
    for job in await scheduled.job_manager.get_stalled_jobs():
        try:
            await scheduled.job_manager.retry_job(job)
        except UniqueViolation:
            continue
        revived += 1
    return revived
