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
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import _population
import _residents
import _sides
from _sides import Figures, say
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import assemble
from yimatong.cli.platform import LocalPlatform

PATH = "/api/v1/accounts"
ROUND = 2000
WARM_UP = 500
TABLES = (
    *("empi_person", "empi_certificate", "empi_contribution", "cards_account", "cards_holder"),
    *("cards_account_event", "access_idempotency", "kit_audit_event"),
)

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
INSERT INTO empi_person (mpi, sealed, search_tokens, sex, birth_date, region_code, created_at, changed_at)
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


async def ours(terminals: dict[str, bytes], address: str, arguments: argparse.Namespace) -> Figures:
    """Run our side and return its figures."""

    async def timed(number: int, *, first: int) -> _sides.Timed:
        async def prepared(done: int, count: int) -> Prepared:
            return prepare(terminals, urlsplit(address).netloc, _residents.residents(first + done, count))

        return await _sides.rounds(
            address,
            prepared,
            number=number,
            size=ROUND,
            connections=arguments.connections,
            status=201,
            holds=b'"real_name_level":3',
        )

    await timed(WARM_UP, first=0)
    seconds, latencies, errors = await timed(arguments.number, first=WARM_UP)
    return {
        "per_s": arguments.number / seconds,
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "n": arguments.number,
        "errors": errors,
    }


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench register", description=__doc__)
    parser.add_argument("--number", type=int, default=20_000, help="registrations to time")
    _sides.arguments_of(parser, connections=64)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    figures = _sides.run(lambda platform: _both(platform, arguments))
    keys = ("per_s", "p50_ms", "p95_ms", "n", "errors", "baseline_tps", "ratio", "clients", "processes")
    return _sides.tell("register", keys, figures)


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> Figures:
    parts = assemble(platform.settings)
    terminals = await _population.enrol_terminals(parts, _sides.TERMINALS)
    await parts.close()
    url = _sides.database(platform)
    cores = await _sides.start_cores(platform, arguments.processes)
    await asyncio.to_thread(settle, url)
    say.print(f"登记 / registering {arguments.number:,} residents over {arguments.connections} connections")
    figures = await ours(terminals, platform.addresses.core, arguments)
    await asyncio.to_thread(_sides.check_durable, url, arguments.number - int(figures["errors"]), TABLES)
    await _sides.stop_cores(platform, cores)
    figures |= await asyncio.to_thread(
        _sides.baseline, url, BASELINE, accounts=arguments.number, seconds=arguments.seconds
    )
    return figures | {"ratio": figures["per_s"] / figures["baseline_tps"], "processes": len(cores)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
