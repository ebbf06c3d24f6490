"""``ymt bench register``: residents registered at windows through signed HTTP, against pgbench.

Ours: the core's endpoint with request and answer signatures, nonce and idempotency key taken, index and registry asked,
a VUID made by the crypto device, person and contribution sealed, name and phone tokens in the search index, account,
holder, history, announcement, audit row and sealed answer written, durable before the answer. The certificate is read
at the window (no outside register is asked). Baseline: pgbench writing the same rows into the same tables and indexes,
one transaction each, in the same run on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import uvloop
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _load
import _pgbench
import _population
import _residents
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import assemble
from yimatong.cli.binaries import find
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

PATH = "/api/v1/accounts"
TERMINALS = 50
CLIENTS = (4, 8, 16, 32, 64)
ROUND = 2000
WARM_UP = 500
_say = Console(stderr=True)

BASELINE = r"""
\set a random(1, 1000000000000)
\set b random(1, 1000000000000)
\set c random(1, 1000000000000)
BEGIN;
INSERT INTO access_request_nonce (caller_id, nonce, at)
  VALUES ('bench-terminal-000', :a::text || '-' || :b::text, now());
INSERT INTO access_idempotency (caller_id, key, request_digest, status, answer, at)
  VALUES ('bench-terminal-000', :a::text || '-' || :b::text, sha256(:a::text::bytea), 0, '', now());
SELECT mpi FROM cards_registry_resident WHERE id_type = '01' AND id_blind = substr(sha256(:a::text::bytea), 1, 16);
INSERT INTO empi_certificate (id_type, id_blind, mpi, claimed_at)
  VALUES ('01', substr(sha256((:a::text || :b::text)::bytea), 1, 16), md5(:a::text || :b::text)::uuid, now());
INSERT INTO empi_person (mpi, sealed, name_tokens, sex, birth_date, region_code, created_at, changed_at)
  VALUES (md5(:a::text || :b::text)::uuid, decode(repeat('ab', 160), 'hex'),
          ARRAY[:a::bigint % 20, :b::bigint % 20 + 100, :c::bigint % 40 + 200,
                :a::bigint % 40 + 300, :b::bigint % 800 + 1000,
                :c::bigint % 1600 + 5000,
                :a::bigint % 32000 + 10000, :b::bigint, :c::bigint % 10000 + 50000],
          '1', '1970-01-01', '610102', now(), now());
INSERT INTO empi_contribution (mpi, contribution_id, provider, sealed, real_name_method, real_name_level, real_name_at,
                               at)
  VALUES (md5(:a::text || :b::text)::uuid, 'ctb_' || :a::text, 'bench-terminal-000', decode(repeat('ab', 160), 'hex'),
          'certificate_read', 3, now(), now());
INSERT INTO cards_account (vuid, generation, mpi, vuid_key_version, state, opened_at, changed_at)
  VALUES (upper(encode(sha256((:a::text || :b::text)::bytea), 'hex')), 1, md5(:a::text || :b::text)::uuid, 1, 'active',
          now(), now());
INSERT INTO cards_holder (vuid, holder, real_name_level, since)
  VALUES (upper(encode(sha256((:a::text || :b::text)::bytea), 'hex')), 'bench-hospital', 3, now());
INSERT INTO cards_account_event (vuid, event_id, what, actor, at, actor_kind, institution_id, request_id)
  VALUES (upper(encode(sha256((:a::text || :b::text)::bytea), 'hex')), 'aev_' || :c::text, 'opened',
          'bench-terminal-000', now(), 'terminal', 'bench-hospital', 'req_' || :c::text);
INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at)
  VALUES ('bench', 'registry-' || :a::text, jsonb_build_object('mpi', :a::text, 'vuid', repeat('A', 64)), now(), now());
UPDATE access_idempotency SET status = 201, answer = decode(repeat('ab', 420), 'hex')
  WHERE caller_id = 'bench-terminal-000' AND key = :a::text || '-' || :b::text;
INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
  VALUES (now(), 'bench-terminal-000', 'bench-hospital', 'accounts-register', 'route', '/api/v1/accounts', 'ok',
          'req_' || :c::text);
COMMIT;
"""


def prepare(terminals: dict[str, bytes], host: str, people: Iterable[dict[str, str]]) -> Prepared:
    """Sign one registration per resident."""
    made = Prepared()
    callers = list(terminals.items())
    for index, person in enumerate(people):
        body = json.dumps({"resident": person, "real_name": "certificate_read"}).encode()
        caller_id, secret = callers[index % len(callers)]
        made.add(path=PATH, host=host, caller_id=caller_id, secret=secret, body=body)
    return made


async def ours(terminals: dict[str, bytes], address: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Run our side in rounds and return its figures; only sending and answering is timed."""
    place = urlsplit(address)
    seconds, latencies, errors, done = 0.0, list[float](), 0, -WARM_UP
    while done < arguments.number:
        size = min(ROUND, arguments.number - done) if done >= 0 else WARM_UP
        people = _residents.residents(done + WARM_UP, size)
        prepared = prepare(terminals, place.netloc, people)
        outcome = await _load.drive(
            place.hostname or "", place.port or 0, prepared.requests, connections=arguments.connections
        )
        bad = prepared.wrong(outcome.answers, status=201, holds=b'"real_name_level":3')
        if done >= 0:
            seconds, errors = seconds + outcome.seconds, errors + bad
            latencies += outcome.latencies
            _say.print(f"  {done + size:,}/{arguments.number:,}  {size / outcome.seconds:,.0f}/s  errors {bad}")
        done += size
    latencies.sort()
    return {
        "per_s": done / seconds,
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "n": done,
        "errors": errors,
    }


def check_durable(url: str, number: int) -> None:
    """Refuse a run whose rows are not all there.

    Raises:
        RuntimeError: fewer persons, accounts, holders or audit rows than answers.
    """
    tables = (
        *("empi_person", "empi_certificate", "empi_contribution", "cards_account", "cards_holder"),
        *("cards_account_event", "access_idempotency", "kit_audit_event"),
    )
    with psycopg.connect(url) as connection:
        for table in tables:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 -- fixed names
            if row is None or row[0] < number:
                message = f"{table} has {row} rows for {number} answers"
                raise RuntimeError(message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench register", description=__doc__)
    parser.add_argument("--number", type=int, default=20_000, help="registrations to time")
    parser.add_argument("--connections", type=int, default=64)
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
    keys = ("per_s", "p50_ms", "p95_ms", "n", "errors", "baseline_tps", "ratio", "clients", "processes")
    print("figure: register " + " ".join(f"{key}={figures[key]}" for key in keys))
    return 0 if not figures["errors"] else 1


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> dict[str, float]:
    parts = assemble(platform.settings)
    terminals = await _population.enrol_terminals(parts, TERMINALS)
    await parts.close()
    url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
    cores = ["core", *(f"core@{number}" for number in range(2, arguments.processes + 1))]
    await asyncio.to_thread(platform.start_processes, cores)
    await asyncio.to_thread(settle, url)
    _say.print(f"登记 / registering {arguments.number:,} residents over {arguments.connections} connections")
    figures = await ours(terminals, platform.addresses.core, arguments)
    await asyncio.to_thread(check_durable, url, arguments.number - int(figures["errors"]))
    for name in cores:
        await asyncio.to_thread(platform.kill, name)
    await asyncio.to_thread(settle, url)
    _say.print("基线 pgbench / baseline: the same rows, one transaction each")
    _say.print(BASELINE, markup=False, highlight=False, emoji=False)
    by_clients = await asyncio.to_thread(
        _pgbench.best,
        find(user=None) / "pgbench",
        url,
        BASELINE,
        accounts=arguments.number,
        terminals=TERMINALS,
        clients=CLIENTS,
        seconds=arguments.seconds,
    )
    for count, tps in by_clients.items():
        _say.print(f"  {count} clients  {tps:,.0f} tps")
    clients = max(by_clients, key=lambda count: by_clients[count])
    figures |= {"baseline_tps": by_clients[clients], "clients": clients, "processes": len(cores)}
    figures["ratio"] = figures["per_s"] / figures["baseline_tps"]
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
