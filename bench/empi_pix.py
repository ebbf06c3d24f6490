"""``ymt bench empi-pix``: signed HTTP resolving of visit-card numbers to a person and all her numbers, against pgbench.

Ours: the core's endpoint with request and answer signatures, the nonce taken, the number blinded, whose it is and all
her numbers read and unsealed, masked by the caller's right, the audit row written and durable before the answer.
Baseline: pgbench with the same statements on the same tables and indexes, one transaction each; it takes each number's
blind from a table of its own, for SM3 is not in PostgreSQL.

``p95_ms`` is the latency of an open model at ``--rate`` requests a second; ``growth`` is the cost of a request (one
over the closed-loop rate) with all persons over that with the first ten thousand of them, measured the same way before
the rest was loaded.
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

import _index
import _load
import _sides
import psycopg
from _population import HOSPITAL
from _sides import Figures, say
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import Parts, assemble
from yimatong.cli.platform import LocalPlatform
from yimatong.empi.identifiers import catalogue, rules, statements

PATH = "/api/v1/cross-indexes/resolve"
ROUND = 10_000
FEW = 10_000
CALLERS = 50
GOOD = b'"domain":"certificate:01"'
"""A whole answer has her certificate in it."""


def baseline_sql() -> str:
    """Return what pgbench does per transaction."""
    named = ",".join(_quoted(code) for code in catalogue.STANDARD if rules.claimed_type(code))
    domains = statements.DOMAINS.replace("%s", f"ARRAY[{named}]", 1)
    resolve = statements.RESOLVE
    for given in ("ARRAY[0]", f"ARRAY[{_quoted(_index.VISIT)}]", "ARRAY[:blind::bytea]", "ARRAY['']"):
        resolve = resolve.replace("%s", given, 1)
    return f"""
\\set number random(0, :accounts - 1)
\\set terminal random(0, :terminals - 1)
\\set high random(1, 1000000000000)
\\set low random(1, 1000000000000)
SELECT blind FROM bench_number WHERE number = :number \\gset
BEGIN;
INSERT INTO access_request_nonce (caller_id, nonce, at)
  VALUES ('bench-his-' || lpad(:terminal::text, 3, '0'), :high::text || '-' || :low::text, now())
  ON CONFLICT DO NOTHING;
SELECT state FROM access_caller WHERE caller_id = 'bench-his-' || lpad(:terminal::text, 3, '0');
{" ".join(domains.split())};
{" ".join(resolve.split())};
INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
  VALUES (now(), 'bench-his-000', '{HOSPITAL}', 'cross-indexes-read', 'route', '{PATH}', 'ok',
          'req_' || :low::text);
COMMIT;
"""  # noqa: S608 -- put together from constants


def _quoted(text: str) -> str:
    """Write a text without a colon: pgbench takes what follows one for a variable, in a literal too."""
    return "(" + " || chr(58) || ".join(f"'{part}'" for part in text.split(":")) + ")"


class Side:
    """Our side: the callers with their secrets, and the address of the core."""

    def __init__(self, callers: dict[str, bytes], arguments: argparse.Namespace, address: str) -> None:
        self.callers = list(callers.items())
        self.connections: int = arguments.connections
        self.address = address

    def prepared(self, count: int, persons: int) -> Prepared:
        """Sign so many requests, each for the visit card of a person drawn at random."""
        made, host = Prepared(), urlsplit(self.address).netloc
        for index in range(count):
            source = {"domain": _index.VISIT, "number": _index.visit_card(secrets.randbelow(persons))}
            caller_id, secret = self.callers[index % len(self.callers)]
            made.add(
                path=PATH, host=host, caller_id=caller_id, secret=secret, body=json.dumps({"source": source}).encode()
            )
        return made

    async def closed(self, count: int, persons: int) -> _sides.Timed:
        """Resolve ``count`` numbers in rounds, closed loop."""

        async def prepare(_done: int, size: int) -> Prepared:
            return self.prepared(size, persons)

        return await _sides.rounds(
            self.address, prepare, number=count, size=ROUND, connections=self.connections, status=200, holds=GOOD
        )

    async def opened(self, seconds: float, *, rate: float, persons: int) -> tuple[list[float], int]:
        """Let requests arrive at ``rate`` for about ``seconds``; return sorted latencies and errors."""
        place = urlsplit(self.address)
        made = self.prepared(max(int(rate * seconds), 1), persons)
        outcome = await _load.drive_open(
            place.hostname or "", place.port or 0, made.requests, rate=rate, connections=2 * self.connections
        )
        return sorted(outcome.latencies), made.wrong(outcome.answers, status=200, holds=GOOD)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench empi-pix", description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--number", type=int, default=20_000, help="numbers to resolve in the closed loop")
    parser.add_argument("--rate", type=float, default=300, help="requests a second of the open model")
    parser.add_argument("--open-seconds", type=float, default=15)
    _sides.arguments_of(parser, connections=32)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    figures = _sides.run(lambda platform: _both(platform, arguments))
    keys = (
        *("p95_ms", "p50_ms", "p99_ms", "rate", "p95_few_ms", "growth", "ratio", "rps", "rps_few", "baseline_tps"),
        *("persons", "n", "errors", "clients", "processes"),
    )
    return _sides.tell("empi-pix", keys, figures)


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> Figures:
    parts = assemble(platform.settings)
    callers = await _index.enrol(parts, CALLERS)
    url = _sides.database(platform)
    few = min(FEW, arguments.persons)
    say.print(f"装入 {few:,} 人 / loading persons")
    await _index.load(parts, few)
    cores = await _sides.start_cores(platform, arguments.processes)
    figures = await _ours(parts, Side(callers, arguments, platform.addresses.core), url, arguments, few=few)
    await asyncio.to_thread(_sides.check_durable, url, arguments.number, ("kit_audit_event",))
    await _sides.stop_cores(platform, cores)
    await _blinds(parts, url, arguments.persons)
    await parts.close()
    figures |= await asyncio.to_thread(
        _sides.baseline, url, baseline_sql(), accounts=arguments.persons, seconds=arguments.seconds
    )
    return figures | {"ratio": figures["rps"] / figures["baseline_tps"], "processes": len(cores)}


async def _ours(parts: Parts, side: Side, url: str, arguments: argparse.Namespace, *, few: int) -> Figures:
    async def at(persons: int) -> tuple[float, list[float], int]:
        await side.closed(2000, persons)
        await asyncio.to_thread(settle, url)
        seconds, _, errors = await side.closed(arguments.number, persons)
        latencies, late = await side.opened(arguments.open_seconds, rate=arguments.rate, persons=persons)
        return arguments.number / seconds, latencies, errors + late

    rps_few, latencies_few, errors_few = await at(few)
    if arguments.persons > few:
        say.print(f"装入其余，共 {arguments.persons:,} 人 / loading the rest")
        await _index.load(parts, arguments.persons, first=few)
    rps, latencies, errors = await at(arguments.persons)
    return {
        "p95_ms": percentile(latencies, 0.95),
        "p50_ms": percentile(latencies, 0.50),
        "p99_ms": percentile(latencies, 0.99),
        "p95_few_ms": percentile(latencies_few, 0.95),
        "rate": arguments.rate,
        "rps": rps,
        "rps_few": rps_few,
        "growth": rps_few / rps,
        "persons": arguments.persons,
        "n": arguments.number,
        "errors": errors + errors_few,
    }


async def _blinds(parts: Parts, url: str, persons: int) -> None:
    """Write down each number's blind for the baseline."""
    blinder = await parts.vault.blinder()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE bench_number (number bigint PRIMARY KEY, blind bytea NOT NULL)")
        with connection.cursor().copy("COPY bench_number FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "bytea"])
            for number in range(persons):
                copy.write_row((number, blinder.number_blind(_index.VISIT, _index.visit_card(number))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
