"""The two sides of a benchmark over HTTP: ours on core processes of a new platform, and pgbench on the same database.

Both run on the same cores in one run. Only sending and answering is timed; requests are signed before and answers
checked after. Notes for whoever watches go to stderr, the figure to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import _load
import _pgbench
import psycopg
import uvloop
from _signed import Prepared, settle
from rich.console import Console

from yimatong.cli.binaries import find
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

TERMINALS = 50
CLIENTS = (4, 8, 16, 32, 64)
"""Client counts of the baseline; its best counts."""
say = Console(stderr=True)

Figures = dict[str, float]


class Timed(NamedTuple):
    """What the rounds of one side took: seconds, latencies in seconds in rising order, and wrong answers."""

    seconds: float
    latencies: list[float]
    errors: int


def arguments_of(parser: argparse.ArgumentParser, *, connections: int) -> None:
    """Add what every benchmark of this kind takes."""
    parser.add_argument("--connections", type=int, default=connections)
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 4), help="core processes on the port")
    parser.add_argument("--seconds", type=int, default=8, help="per client count of the baseline")


def run(work: Callable[[LocalPlatform], Awaitable[Figures]]) -> Figures:
    """Start a platform on a new database, do ``work`` and return its figures rounded."""
    with temporary_home("ymt-bench-") as home:
        platform = LocalPlatform(home, report=say.print)
        try:
            platform.start_base()
            figures = uvloop.run(work(platform))
        finally:
            platform.stop()
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}


def tell(name: str, keys: Sequence[str], figures: Figures) -> int:
    """Print the figure and return the exit status: 1 when an answer was wrong."""
    print(f"figure: {name} " + " ".join(f"{key}={figures[key]}" for key in keys))
    return 0 if not figures["errors"] else 1


def database(platform: LocalPlatform) -> str:
    """Return the URL of the owner of everything, for checkpoints and the baseline."""
    return platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url


async def start_cores(platform: LocalPlatform, count: int) -> list[str]:
    """Start so many core processes on one port and return their names."""
    names = ["core", *(f"core@{number}" for number in range(2, count + 1))]
    await asyncio.to_thread(platform.start_processes, names)
    return names


async def stop_cores(platform: LocalPlatform, names: Sequence[str]) -> None:
    """End them, so that they take nothing from the baseline."""
    for name in names:
        await asyncio.to_thread(platform.kill, name)


async def rounds(
    address: str,
    prepare: Callable[[int, int], Awaitable[Prepared]],
    *,
    number: int,
    size: int,
    connections: int,
    status: int,
    holds: bytes,
) -> Timed:
    """Send ``number`` requests in rounds over a closed loop; ``prepare(done, count)`` signs those of one round."""
    place = urlsplit(address)
    seconds, latencies, errors, done = 0.0, list[float](), 0, 0
    while done < number:
        count = min(size, number - done)
        prepared = await prepare(done, count)
        outcome = await _load.drive(place.hostname or "", place.port or 0, prepared.requests, connections=connections)
        bad = prepared.wrong(outcome.answers, status=status, holds=holds)
        seconds, errors, done = seconds + outcome.seconds, errors + bad, done + count
        latencies += outcome.latencies
        say.print(f"  {done:,}/{number:,}  {count / outcome.seconds:,.0f}/s  errors {bad}")
    return Timed(seconds, sorted(latencies), errors)


def check_durable(url: str, number: int, tables: Sequence[str]) -> None:
    """Refuse a run whose rows are not all there.

    Raises:
        RuntimeError: a table has fewer rows than there were answers.
    """
    with psycopg.connect(url) as connection:
        for table in tables:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 -- fixed names
            if row is None or row[0] < number:
                message = f"{table} has {row} rows for {number} answers"
                raise RuntimeError(message)


def baseline(url: str, sql: str, *, accounts: int, seconds: int) -> Figures:
    """Run pgbench with ``sql`` at every client count and return its best."""
    settle(url)
    say.print("基线 pgbench / baseline: the same statements, one transaction each")
    say.print(sql, markup=False, highlight=False, emoji=False)
    by_clients = _pgbench.best(
        find(user=None) / "pgbench",
        url,
        sql,
        accounts=accounts,
        terminals=TERMINALS,
        clients=CLIENTS,
        seconds=seconds,
    )
    for count, tps in by_clients.items():
        say.print(f"  {count} clients  {tps:,.0f} tps")
    clients = max(by_clients, key=lambda count: by_clients[count])
    return {"baseline_tps": by_clients[clients], "clients": clients}
