"""``ymt bench codes-issue``: signed HTTP issues of dynamic codes, against pgbench.

Ours: the core's endpoint with request and answer signatures, the idempotency key and the sealed answer kept, account,
holder and policy read, VALID made by the crypto device, record and audit row written, durable before the answer.
Baseline: pgbench with the same statements on the same tables and indexes, in the same run on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import _pgbench
import _population
import _sides
from _sides import Figures, say
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import assemble
from yimatong.cli.platform import LocalPlatform

PATH = "/api/v1/codes"
ROUND = 10_000
WARM_UP = 1000


def prepare(terminals: dict[str, bytes], host: str, numbers: Sequence[int]) -> Prepared:
    """Sign one request for a dynamic code per account number."""
    made = Prepared()
    callers = list(terminals.items())
    for index, number in enumerate(numbers):
        body = json.dumps({"vuid": _population.vuid_of(number), "kind": "dynamic", "code_class": "visit"}).encode()
        caller_id, secret = callers[index % len(callers)]
        made.add(path=PATH, host=host, caller_id=caller_id, secret=secret, body=body)
    return made


async def ours(terminals: dict[str, bytes], address: str, arguments: argparse.Namespace) -> Figures:
    """Run our side and return its figures."""

    async def prepared(_done: int, count: int) -> Prepared:
        return prepare(
            terminals, urlsplit(address).netloc, [secrets.randbelow(arguments.accounts) for _ in range(count)]
        )

    async def timed(number: int) -> _sides.Timed:
        return await _sides.rounds(
            address,
            prepared,
            number=number,
            size=ROUND,
            connections=arguments.connections,
            status=201,
            holds=b'"text":"',
        )

    await timed(WARM_UP)
    seconds, latencies, errors = await timed(arguments.number)
    return {
        "rps": arguments.number / seconds,
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "p99_ms": percentile(latencies, 0.99),
        "n": arguments.number,
        "errors": errors,
    }


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench codes-issue", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--number", type=int, default=30_000, help="issues to time")
    _sides.arguments_of(parser, connections=128)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    figures = _sides.run(lambda platform: _both(platform, arguments))
    keys = (*("ratio", "rps", "p50_ms", "p95_ms", "p99_ms", "n", "errors"), *("baseline_tps", "clients", "processes"))
    return _sides.tell("codes-issue", keys, figures)


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> Figures:
    parts = assemble(platform.settings)
    terminals = await _population.enrol_terminals(parts, _sides.TERMINALS)
    url = _sides.database(platform)
    say.print(f"装入 {arguments.accounts:,} 个账户 / loading accounts")
    await _population.load(parts, arguments.accounts)
    await parts.close()
    cores = await _sides.start_cores(platform, arguments.processes)
    await asyncio.to_thread(settle, url)
    say.print(f"发码 / issuing {arguments.number:,} codes over {arguments.connections} connections")
    figures = await ours(terminals, platform.addresses.core, arguments)
    await _sides.stop_cores(platform, cores)
    figures |= await asyncio.to_thread(
        _sides.baseline, url, _pgbench.ISSUE, accounts=arguments.accounts, seconds=arguments.seconds
    )
    return figures | {"ratio": figures["rps"] / figures["baseline_tps"], "processes": len(cores)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
