"""Background jobs on procrastinate: queue, retries, locks and schedules in the same database and transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from procrastinate import App, PsycopgConnector
from sqlalchemy import text

from yimatong.kit.db import Connection

_DEFER = text(
    """
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW(:queue, :task, 0, :lock, NULL, cast(:args AS jsonb), :at)::procrastinate_job_to_defer_v1])
    """
)


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
