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
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import _load
import _pgbench
import _population
import _sides
from _sides import Figures, say
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.codec import CodeClass, Valid, dynamic_text, seal_valid
from yimatong.cards.codes.endpoints import VERIFY_PATH
from yimatong.cli.platform import LocalPlatform

ROUND = 20_000
FEW = 10_000
NUMBER_FEW = 40_000
TABLES = ("cards_code_record", "kit_audit_event", "cards_code_use", "access_request_nonce")
GOOD = b'"id_number":"610102'
"""A genuine answer has the resident in it."""


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


class Side:
    """Our side: terminals with their secrets, and the address of the core."""

    def __init__(self, parts: Parts, terminals: dict[str, bytes], arguments: argparse.Namespace, address: str) -> None:
        self.parts = parts
        self.terminals = terminals
        self.connections: int = arguments.connections
        self.address = address

    async def closed(self, count: int, *, accounts: int) -> _sides.Timed:
        """Verify ``count`` codes in rounds, closed loop."""

        async def prepared(_done: int, size: int) -> Prepared:
            return await self._prepared(size, accounts)

        return await _sides.rounds(
            self.address,
            prepared,
            number=count,
            size=ROUND,
            connections=self.connections,
            status=200,
            holds=GOOD,
        )

    async def opened(self, seconds: float, *, rate: float, accounts: int) -> tuple[list[float], int]:
        """Let requests arrive at ``rate`` for about ``seconds``; return sorted latencies and errors."""
        place = urlsplit(self.address)
        prepared = await self._prepared(int(rate * seconds), accounts)
        outcome = await _load.drive_open(
            place.hostname or "", place.port or 0, prepared.requests, rate=rate, connections=2 * self.connections
        )
        return sorted(outcome.latencies), prepared.wrong(outcome.answers, status=200, holds=GOOD)

    async def _prepared(self, count: int, accounts: int) -> Prepared:
        numbers = [secrets.randbelow(accounts) for _ in range(count)]
        return await prepare(self.parts, self.terminals, urlsplit(self.address).netloc, numbers)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench codes-verify", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--number", type=int, default=100_000, help="verifications to time")
    _sides.arguments_of(parser, connections=128)
    parser.add_argument("--open-seconds", type=float, default=15, help="of the open model at half of the maximum rate")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    figures = _sides.run(lambda platform: _both(platform, arguments))
    if arguments.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    keys = (
        *("ratio", "rps", "ratio_10k", "open_p99_ms", "p50_ms", "p95_ms", "p99_ms", "accounts", "n", "errors"),
        *("baseline_tps", "clients", "processes"),
    )
    return _sides.tell("codes-verify", keys, figures)


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> Figures:
    parts = assemble(platform.settings)
    terminals = await _population.enrol_terminals(parts, _sides.TERMINALS)
    url = _sides.database(platform)
    few = min(FEW, arguments.accounts)
    say.print(f"装入 {few:,} 个账户 / loading accounts")
    await _population.load(parts, few)
    cores = await _sides.start_cores(platform, arguments.processes)
    figures = await _ours(Side(parts, terminals, arguments, platform.addresses.core), url, arguments, few=few)
    await asyncio.to_thread(_sides.check_durable, url, arguments.number, TABLES)
    await _sides.stop_cores(platform, cores)
    await parts.close()
    figures |= await asyncio.to_thread(
        _sides.baseline, url, _pgbench.VERIFY, accounts=arguments.accounts, seconds=arguments.seconds
    )
    return figures | {"ratio": figures["rps"] / figures["baseline_tps"], "processes": len(cores)}


async def _ours(side: Side, url: str, arguments: argparse.Namespace, *, few: int) -> Figures:
    await side.closed(2000, accounts=few)
    await asyncio.to_thread(settle, url)
    number = min(arguments.number, NUMBER_FEW)
    say.print(f"{few:,} 个账户时 / at {few:,} accounts")
    seconds, _, errors_few = await side.closed(number, accounts=few)
    rps_few = number / seconds
    if arguments.accounts > few:
        say.print(f"装入其余账户，共 {arguments.accounts:,} / loading the rest")
        await _population.load(side.parts, arguments.accounts, first=few)
    await side.closed(2000, accounts=arguments.accounts)
    await asyncio.to_thread(settle, url)
    say.print(f"验码 / verifying {arguments.number:,} codes over {arguments.connections} connections")
    seconds, latencies, errors = await side.closed(arguments.number, accounts=arguments.accounts)
    rps = arguments.number / seconds
    say.print(f"开放到达，每秒 {rps / 2:,.0f} / open model at half of the maximum rate")
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
