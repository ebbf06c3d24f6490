"""``ymt bench codes-verify``: signed HTTP verification of genuine single-use dynamic codes, against pgbench.

Ours: the core's endpoint with request and answer signatures, nonces consumed, caller, account and person read, record
and audit row written, durable before the answer. Baseline: pgbench with the same statements on the same tables and
indexes (``_pgbench.py``). Both load generators run on the same cores as what they load, in one run of this script.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _load
import _pgbench
import _population

from yimatong.access import request_auth
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.codec import CodeClass, Valid, dynamic_text, seal_valid
from yimatong.cards.codes.endpoints import VERIFY_PATH
from yimatong.cli.binaries import find
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

TERMINALS = 50
CLIENTS = (4, 8, 16, 32, 64)
ROUND = 20_000
_say = Console(stderr=True)


class Prepared:
    """Requests of one round, and what is needed to check their answers."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.signers: list[tuple[bytes, str]] = []


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
        nonce, idempotency_key = secrets.token_hex(16), uuid.uuid4().hex
        text = request_auth.request_text(
            method="POST", target=VERIFY_PATH, timestamp=now, nonce=nonce, bound=idempotency_key, body=body
        )
        authorization = request_auth.header(
            caller_id=caller_id, timestamp=now, nonce=nonce, signature=request_auth.sign(secret, text)
        )
        head = (
            f"POST {VERIFY_PATH} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n"
            f"idempotency-key: {idempotency_key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        made.requests.append(head.encode() + body)
        made.signers.append((secret, nonce))
    return made


def wrong(prepared: Prepared, answers: Sequence[bytes]) -> int:
    """Count answers that are not a signed, genuine 200 with the resident in it."""
    errors = 0
    for (secret, nonce), answer in zip(prepared.signers, answers, strict=True):
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        text = request_auth.answer_text(
            status=200, timestamp=int(headers.get(b"ymt-timestamp", b"0")), nonce=nonce, body=body
        )
        signed = request_auth.sign(secret, text).encode() == headers.get(b"ymt-signature")
        if not (signed and head.startswith(b"HTTP/1.1 200") and b'"id_number":"610102' in body):
            errors += 1
    return errors


def percentile(sorted_seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return sorted_seconds[min(int(len(sorted_seconds) * share), len(sorted_seconds) - 1)] * 1000


def settle(url: str) -> None:
    """Give both sides the same start: no dirty pages of the other one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


async def ours(
    parts: Parts, terminals: dict[str, bytes], address: str, arguments: argparse.Namespace
) -> dict[str, float]:
    """Run our side in rounds and return its figures; only sending and answering is timed."""
    place = urlsplit(address)
    seconds, latencies, errors = 0.0, list[float](), 0
    done = 0
    warm_up = await prepare(parts, terminals, place.netloc, range(2000))
    await _load.drive(place.hostname or "", place.port or 0, warm_up.requests, connections=arguments.connections)
    while done < arguments.number:
        size = min(ROUND, arguments.number - done)
        numbers = [secrets.randbelow(arguments.accounts) for _ in range(size)]
        prepared = await prepare(parts, terminals, place.netloc, numbers)
        outcome = await _load.drive(
            place.hostname or "", place.port or 0, prepared.requests, connections=arguments.connections
        )
        bad = wrong(prepared, outcome.answers)
        seconds, errors, done = seconds + outcome.seconds, errors + bad, done + size
        latencies += outcome.latencies
        _say.print(f"  {done:,}/{arguments.number:,}  {size / outcome.seconds:,.0f}/s  errors {bad}")
    latencies.sort()
    return {
        "rps": done / seconds,
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "p99_ms": percentile(latencies, 0.99),
        "n": done,
        "errors": errors,
    }


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
            figures = asyncio.run(_both(platform, arguments))
        finally:
            platform.stop()
    if arguments.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    keys = ("ratio", "rps", "p50_ms", "p95_ms", "p99_ms", "n", "errors", "baseline_tps", "clients")
    print("figure: codes-verify " + " ".join(f"{key}={figures[key]}" for key in keys))
    return 0 if not figures["errors"] else 1


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> dict[str, float]:
    parts = assemble(platform.settings)
    _say.print(f"装入 {arguments.accounts:,} 个账户 / loading accounts")
    terminals = await _population.enrol_terminals(parts, TERMINALS)
    await _population.load(parts, arguments.accounts)
    url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
    await asyncio.to_thread(platform.start_processes, ["core"])
    await asyncio.to_thread(settle, url)
    _say.print(f"验码 / verifying {arguments.number:,} codes over {arguments.connections} connections")
    figures = await ours(parts, terminals, platform.addresses.core, arguments)
    await asyncio.to_thread(check_durable, url, arguments.number)
    await asyncio.to_thread(platform.kill, "core")
    await parts.close()
    await asyncio.to_thread(settle, url)
    _say.print("基线 pgbench / baseline: the same statements, one transaction each\n" + _pgbench.SCRIPT)
    pgbench = find(user=None) / "pgbench"
    by_clients = await asyncio.to_thread(
        _pgbench.best,
        pgbench,
        url,
        accounts=arguments.accounts,
        terminals=TERMINALS,
        clients=CLIENTS,
        seconds=arguments.seconds,
    )
    for count, tps in by_clients.items():
        _say.print(f"  {count} clients  {tps:,.0f} tps")
    clients = max(by_clients, key=lambda count: by_clients[count])
    figures |= {"baseline_tps": by_clients[clients], "clients": clients, "ratio": figures["rps"] / by_clients[clients]}
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
