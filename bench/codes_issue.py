"""``ymt bench codes-issue``: signed HTTP issues of dynamic codes, against pgbench.

Ours: the core's endpoint with request and answer signatures, the idempotency key and the sealed answer kept, account,
holder and policy read, VALID made by the crypto device, record and audit row written, durable before the answer.
Baseline: pgbench with the same statements on the same tables and indexes, in the same run on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _load
import _pgbench
import _population
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import assemble
from yimatong.cli.binaries import find
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

PATH = "/api/v1/codes"
TERMINALS = 50
CLIENTS = (4, 8, 16, 32, 64)
ROUND = 10_000
WARM_UP = 1000
_say = Console(stderr=True)


def prepare(terminals: dict[str, bytes], host: str, numbers: Sequence[int]) -> Prepared:
    """Sign one request for a dynamic code per account number."""
    made = Prepared()
    callers = list(terminals.items())
    for index, number in enumerate(numbers):
        body = json.dumps({"vuid": _population.vuid_of(number), "kind": "dynamic", "code_class": "visit"}).encode()
        caller_id, secret = callers[index % len(callers)]
        made.add(path=PATH, host=host, caller_id=caller_id, secret=secret, body=body)
    return made


async def ours(terminals: dict[str, bytes], address: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Run our side in rounds and return its figures; only sending and answering is timed."""
    place = urlsplit(address)
    seconds, latencies, errors, done = 0.0, list[float](), 0, -WARM_UP
    while done < arguments.number:
        size = min(ROUND, arguments.number - done) if done >= 0 else WARM_UP
        prepared = prepare(terminals, place.netloc, [secrets.randbelow(arguments.accounts) for _ in range(size)])
        outcome = await _load.drive(
            place.hostname or "", place.port or 0, prepared.requests, connections=arguments.connections
        )
        bad = prepared.wrong(outcome.answers, status=201, holds=b'"text":"')
        if done >= 0:
            seconds, errors = seconds + outcome.seconds, errors + bad
            latencies += outcome.latencies
            _say.print(f"  {done + size:,}/{arguments.number:,}  {size / outcome.seconds:,.0f}/s  errors {bad}")
        done += size
    latencies.sort()
    return {
        "rps": done / seconds,
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "p99_ms": percentile(latencies, 0.99),
        "n": done,
        "errors": errors,
    }


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench codes-issue", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--number", type=int, default=30_000, help="issues to time")
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 4), help="core processes on the port")
    parser.add_argument("--seconds", type=int, default=8, help="per client count of the baseline")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    with temporary_home("ymt-bench-") as home:
        platform = LocalPlatform(home, report=_say.print)
        try:
            platform.start_base()
            figures = uvloop.run(_both(platform, arguments))
        finally:
            platform.stop()
    keys = (*("ratio", "rps", "p50_ms", "p95_ms", "p99_ms", "n", "errors"), *("baseline_tps", "clients", "processes"))
    print("figure: codes-issue " + " ".join(f"{key}={figures[key]}" for key in keys))
    return 0 if not figures["errors"] else 1


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> dict[str, float]:
    parts = assemble(platform.settings)
    terminals = await _population.enrol_terminals(parts, TERMINALS)
    url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
    cores = ["core", *(f"core@{number}" for number in range(2, arguments.processes + 1))]
    _say.print(f"装入 {arguments.accounts:,} 个账户 / loading accounts")
    await _population.load(parts, arguments.accounts)
    await asyncio.to_thread(platform.start_processes, cores)
    await asyncio.to_thread(settle, url)
    _say.print(f"发码 / issuing {arguments.number:,} codes over {arguments.connections} connections")
    figures = await ours(terminals, platform.addresses.core, arguments)
    for name in cores:
        await asyncio.to_thread(platform.kill, name)
    await parts.close()
    await asyncio.to_thread(settle, url)
    _say.print("基线 pgbench / baseline: the same statements, one transaction each")
    _say.print(_pgbench.ISSUE, markup=False, highlight=False)
    by_clients = await asyncio.to_thread(
        _pgbench.best,
        find(user=None) / "pgbench",
        url,
        _pgbench.ISSUE,
        accounts=arguments.accounts,
        terminals=TERMINALS,
        clients=CLIENTS,
        seconds=arguments.seconds,
    )
    for count, tps in by_clients.items():
        _say.print(f"  {count} clients  {tps:,.0f} tps")
    clients = max(by_clients, key=lambda count: by_clients[count])
    figures |= {"baseline_tps": by_clients[clients], "clients": clients, "processes": len(cores)}
    figures["ratio"] = figures["rps"] / figures["baseline_tps"]
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
