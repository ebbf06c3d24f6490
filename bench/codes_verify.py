"""``ymt bench codes-verify``: signed HTTP verification of genuine single-use dynamic codes, against pgbench.

Ours: the core's endpoint with request and answer signatures, nonces consumed, caller, account and person read, record
and audit row written, durable before the answer. Baseline: pgbench with the same statements on the same tables and
indexes (``_pgbench.py``). Both load generators run on the same cores as what they load, in one run of this script.

``ratio_10k`` is the rate at all accounts over the rate at the first ten thousand of them, measured the same way just
before the rest was loaded. ``open_p99_ms`` is the latency of an open model at half of the maximum rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import uvloop
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _load
import _pgbench
import _population
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.codec import CodeClass, Valid, dynamic_text, seal_valid
from yimatong.cards.codes.endpoints import VERIFY_PATH
from yimatong.cli.binaries import find
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

TERMINALS = 50
CLIENTS = (4, 8, 16, 32, 64)
ROUND = 20_000
FEW = 10_000
NUMBER_FEW = 40_000
_say = Console(stderr=True)


async def prepare(parts: Parts, terminals: dict[str, bytes], host: str, numbers: Sequence[int]) -> Prepared:
    """Make one genuine code per number and sign one request for it."""
    made = Prepared()
    vuids = [_population.vuid_of(number) for number in numbers]
    keys = await parts.vault.valid_keys(vuids)
    newest = keys[max(keys)]
    callers = list(terminals.items())
    now = int(time.time())
    for index, (vuid, key) in enumerate(zip(vuids, newest, strict=True)):
        valid = Valid(CodeClass.VISIT, now, 600, secrets.token_bytes(5))
        body = json.dumps({"code": dynamic_text(vuid, seal_valid(key, valid)), "purpose": "visit"}).encode()
        caller_id, secret = callers[index % len(callers)]
        made.add(path=VERIFY_PATH, host=host, caller_id=caller_id, secret=secret, body=body)
    return made


def wrong(prepared: Prepared, answers: Sequence[bytes]) -> int:
    """Count answers that are not a signed, genuine 200 with the resident in it."""
    return prepared.wrong(answers, status=200, holds=b'"id_number":"610102')


class Side:
    """Our side: terminals with their secrets, and the address of the core."""

    def __init__(self, parts: Parts, terminals: dict[str, bytes], arguments: argparse.Namespace, address: str) -> None:
        self.parts = parts
        self.terminals = terminals
        self.connections: int = arguments.connections
        self.place = urlsplit(address)

    async def closed(self, count: int, *, accounts: int) -> tuple[float, list[float], int]:
        """Verify ``count`` codes in rounds, closed loop; return seconds, sorted latencies and errors."""
        seconds, latencies, errors, done = 0.0, list[float](), 0, 0
        while done < count:
            size = min(ROUND, count - done)
            prepared = await self._prepared(size, accounts)
            outcome = await _load.drive(self._host, self._port, prepared.requests, connections=self.connections)
            bad = wrong(prepared, outcome.answers)
            seconds, errors, done = seconds + outcome.seconds, errors + bad, done + size
            latencies += outcome.latencies
            _say.print(f"  {done:,}/{count:,}  {size / outcome.seconds:,.0f}/s  errors {bad}")
        latencies.sort()
        return seconds, latencies, errors

    async def opened(self, seconds: float, *, rate: float, accounts: int) -> tuple[list[float], int]:
        """Let requests arrive at ``rate`` for about ``seconds``; return sorted latencies and errors."""
        prepared = await self._prepared(int(rate * seconds), accounts)
        outcome = await _load.drive_open(
            self._host, self._port, prepared.requests, rate=rate, connections=2 * self.connections
        )
        latencies = sorted(outcome.latencies)
        return latencies, wrong(prepared, outcome.answers)

    async def _prepared(self, count: int, accounts: int) -> Prepared:
        numbers = [secrets.randbelow(accounts) for _ in range(count)]
        return await prepare(self.parts, self.terminals, self.place.netloc, numbers)

    @property
    def _host(self) -> str:
        return self.place.hostname or ""

    @property
    def _port(self) -> int:
        return self.place.port or 0


def check_durable(url: str, number: int) -> None:
    """Refuse a run whose rows are not all there.

    Raises:
        RuntimeError: fewer records, audit rows or uses than answers.
    """
    with psycopg.connect(url) as connection:
        for table in ("cards_code_record", "kit_audit_event", "cards_code_use", "access_request_nonce"):
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 -- fixed names
            if row is None or row[0] < number:
                message = f"{table} has {row} rows for {number} answers"
                raise RuntimeError(message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench codes-verify", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--number", type=int, default=100_000, help="verifications to time")
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 4), help="core processes on the port")
    parser.add_argument("--open-seconds", type=float, default=15, help="of the open model at half of the maximum rate")
    parser.add_argument("--seconds", type=int, default=8, help="per client count of the baseline")
    parser.add_argument("--json", action="store_true")
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
    if arguments.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    keys = (
        *("ratio", "rps", "ratio_10k", "open_p99_ms", "p50_ms", "p95_ms", "p99_ms", "accounts", "n", "errors"),
        *("baseline_tps", "clients", "processes"),
    )
    print("figure: codes-verify " + " ".join(f"{key}={figures[key]}" for key in keys))
    return 0 if not figures["errors"] else 1


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> dict[str, float]:
    parts = assemble(platform.settings)
    terminals = await _population.enrol_terminals(parts, TERMINALS)
    url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
    cores = ["core", *(f"core@{number}" for number in range(2, arguments.processes + 1))]
    few = min(FEW, arguments.accounts)
    _say.print(f"装入 {few:,} 个账户 / loading accounts")
    await _population.load(parts, few)
    await asyncio.to_thread(platform.start_processes, cores)
    figures = await _ours(Side(parts, terminals, arguments, platform.addresses.core), url, arguments, few=few)
    await asyncio.to_thread(check_durable, url, arguments.number)
    for name in cores:
        await asyncio.to_thread(platform.kill, name)
    await parts.close()
    figures |= await asyncio.to_thread(_baseline, url, arguments)
    figures |= {"ratio": figures["rps"] / figures["baseline_tps"], "processes": len(cores)}
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}


async def _ours(side: Side, url: str, arguments: argparse.Namespace, *, few: int) -> dict[str, float]:
    await side.closed(2000, accounts=few)
    await asyncio.to_thread(settle, url)
    number = min(arguments.number, NUMBER_FEW)
    _say.print(f"{few:,} 个账户时 / at {few:,} accounts")
    seconds, _, errors_few = await side.closed(number, accounts=few)
    rps_few = number / seconds
    if arguments.accounts > few:
        _say.print(f"装入其余账户，共 {arguments.accounts:,} / loading the rest")
        await _population.load(side.parts, arguments.accounts, first=few)
    await side.closed(2000, accounts=arguments.accounts)
    await asyncio.to_thread(settle, url)
    _say.print(f"验码 / verifying {arguments.number:,} codes over {arguments.connections} connections")
    seconds, latencies, errors = await side.closed(arguments.number, accounts=arguments.accounts)
    rps = arguments.number / seconds
    _say.print(f"开放到达，每秒 {rps / 2:,.0f} / open model at half of the maximum rate")
    open_latencies, open_errors = await side.opened(arguments.open_seconds, rate=rps / 2, accounts=arguments.accounts)
    return {
        "rps": rps,
        "ratio_10k": rps / rps_few,
        "open_p99_ms": percentile(open_latencies, 0.99),
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "p99_ms": percentile(latencies, 0.99),
        "accounts": arguments.accounts,
        "n": arguments.number,
        "errors": errors + errors_few + open_errors,
    }


def _baseline(url: str, arguments: argparse.Namespace) -> dict[str, float]:
    settle(url)
    _say.print("基线 pgbench / baseline: the same statements, one transaction each")
    _say.print(_pgbench.VERIFY, markup=False, highlight=False)
    by_clients = _pgbench.best(
        find(user=None) / "pgbench",
        url,
        _pgbench.VERIFY,
        accounts=arguments.accounts,
        terminals=TERMINALS,
        clients=CLIENTS,
        seconds=arguments.seconds,
    )
    for count, tps in by_clients.items():
        _say.print(f"  {count} clients  {tps:,.0f} tps")
    clients = max(by_clients, key=lambda count: by_clients[count])
    return {"baseline_tps": by_clients[clients], "clients": clients}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
