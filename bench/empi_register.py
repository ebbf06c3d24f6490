"""``ymt bench empi-register``: records of a hospital registered with matching through signed HTTP, against pgbench.

Ours: the core's endpoint with request and answer signatures, nonce and idempotency key taken, the source number, the
certificate and the candidates by blocking keys looked up, statements unsealed and scored, the golden record made anew,
and statement, claim, cross index, blocking keys, search tokens, decision, change, audit row and sealed answer written,
durable before the answer. A quarter each: new persons (every second one without a certificate), persons known by their
certificate, persons known by likeness alone, updates. Baseline: pgbench with the same look-ups and the same rows
written on the same tables and indexes, one transaction each, in the same run on the same cores.

``rate`` is the closed loop's; ``p50_ms`` to ``p99_ms`` are latencies of an open model at ``--rate`` requests a second;
``growth`` is the cost of a registration (one over the closed-loop rate) with all persons over that with the first ten
thousand, measured the same way before the rest was loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import _index
import _load
import _register
import _sides
import psycopg
from _population import mpi_of
from _sides import Figures, say
from _signed import Prepared, percentile, settle

from yimatong.apps.assembly import Parts, assemble
from yimatong.cli.platform import LocalPlatform
from yimatong.empi.golden import service as golden
from yimatong.empi.linkage import candidates
from yimatong.empi.matching.facts import Facts

PATH = "/api/v1/persons"
ROUND = 4000
WARM_UP = 800
FEW = 10_000
CALLERS = 50
KINDS = 4
GOOD = b'"outcome":"'
_SAMPLE = 50_000
_NEW_AT = 500_000_000


def baseline_sql() -> str:
    """Return what pgbench does per transaction: one of four kinds, as ours."""
    find = " ".join(candidates.FIND.split())
    find = find.replace("%s::int[]", "array_fill(0, ARRAY[cardinality(:tokens::bigint[])])", 1)
    find = find.replace("%s::bigint[]", ":tokens::bigint[]", 1)
    said = " ".join(golden.CONTRIBUTIONS.split())
    said = said.replace("%s::int[]", "ARRAY[0]", 1).replace("%s::uuid[]", "ARRAY[:mpi::uuid]", 1)
    return _SQL.replace("{find}", find).replace("{said}", said)


_SQL = r"""
\set number random(0, :accounts - 1)
\set kind random(0, 3)
\set a random(1, 1000000000000)
\set b random(1, 1000000000000)
SELECT mpi, tokens, source_blind, id_blind,
  'source' || chr(58) || 'bench-hospital' AS source FROM bench_record WHERE number = :number \gset
BEGIN;
INSERT INTO access_request_nonce (caller_id, nonce, at) VALUES ('bench-his-000', :a::text || '-' || :b::text, now());
INSERT INTO access_idempotency (caller_id, key, request_digest, status, answer, at)
  VALUES ('bench-his-000', :a::text || '-' || :b::text, sha256(:a::text::bytea), 0, '', now());
SELECT code FROM empi_identifier_domain WHERE code = :source;
SELECT pg_advisory_xact_lock(:a::bigint);
\if :kind = 3
SELECT sealed FROM empi_contribution WHERE domain = :source AND source_blind = :source_blind::bytea
  AND current AND source_blind IS NOT NULL;
\else
SELECT sealed FROM empi_contribution WHERE domain = :source
  AND source_blind = sha256(:a::text::bytea) AND current AND source_blind IS NOT NULL;
\endif
\if :kind = 1
SELECT mpi FROM empi_certificate WHERE id_type = '01' AND id_blind = :id_blind::bytea;
\endif
\if :kind = 0 OR :kind = 2
{find};
\endif
\if :kind = 0
INSERT INTO empi_certificate (id_type, id_blind, mpi, claimed_at)
  VALUES ('01', substr(sha256((:a::text || :b::text)::bytea), 1, 16), md5(:a::text || :b::text)::uuid, now());
INSERT INTO empi_person (mpi, sealed, search_tokens, sex, birth_date, region_code, compared_at, created_at, changed_at)
  SELECT md5(:a::text || :b::text)::uuid, sealed, search_tokens, sex, birth_date, region_code, now(), now(), now()
  FROM empi_person WHERE mpi = :mpi::uuid;
INSERT INTO empi_block (token, mpi)
  SELECT t + :a::bigint, md5(:a::text || :b::text)::uuid FROM unnest(:tokens::bigint[]) t ON CONFLICT DO NOTHING;
INSERT INTO empi_contribution (mpi, contribution_id, provider, kind, domain, source_blind, sealed, real_name_method,
                               real_name_level, real_name_at, at)
  VALUES (md5(:a::text || :b::text)::uuid, 'ctb_' || :a::text, 'bench-his-000', 'feed', :source,
          sha256(:a::text::bytea), decode(repeat('ab', 220), 'hex'), 'stated', 1, now(), now());
\else
SELECT sealed FROM empi_person WHERE mpi = :mpi::uuid FOR UPDATE;
{said};
SELECT id_type, id_blind FROM empi_certificate WHERE mpi = :mpi::uuid;
UPDATE empi_contribution SET current = false
  WHERE domain = :source AND source_blind = :source_blind::bytea AND current AND :kind = 3;
INSERT INTO empi_contribution (mpi, contribution_id, provider, kind, domain, source_blind, sealed, real_name_method,
                               real_name_level, real_name_at, at)
  VALUES (:mpi::uuid, 'ctb_' || :a::text, 'bench-his-000', 'feed', :source,
          CASE WHEN :kind = 3 THEN :source_blind::bytea ELSE sha256(:a::text::bytea) END,
          decode(repeat('ab', 220), 'hex'), 'stated', 1, now(), now());
INSERT INTO empi_block (token, mpi) SELECT t, :mpi::uuid FROM unnest(:tokens::bigint[]) t ON CONFLICT DO NOTHING;
UPDATE empi_person SET sealed = decode(repeat('ab', 220), 'hex'), search_tokens = search_tokens || :a::bigint,
  version = version + 1, changed_at = now() WHERE mpi = :mpi::uuid;
\endif
\if :kind < 3
INSERT INTO empi_identifier (relation_id, domain, number_blind, number_sealed, mpi, provider, since)
  VALUES ('xid_' || :a::text || :b::text, :source, sha256(:a::text::bytea),
          decode(repeat('ab', 40), 'hex'), :mpi::uuid, 'bench-his-000', now());
\endif
\if :kind = 1 OR :kind = 2
INSERT INTO empi_decision (decision_id, at, kind, method, left_mpi, weight, probability, evidence, operator)
  VALUES ('dec_' || :a::text || :b::text, now(), 'link', 'probability', :mpi::uuid, 20, 0.999, '[]', 'engine');
\endif
INSERT INTO empi_change (mpi, kind, provider, version, at) VALUES (:mpi::uuid, 'updated', 'bench-his-000', 1, now());
UPDATE access_idempotency SET status = 201, answer = decode(repeat('ab', 220), 'hex')
  WHERE caller_id = 'bench-his-000' AND key = :a::text || '-' || :b::text;
INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
  VALUES (now(), 'bench-his-000', 'bench-hospital', 'persons-register', 'route', '/api/v1/persons', 'ok',
          'req_' || :a::text);
COMMIT;
"""


class Side:
    """Our side: the callers with their secrets, the address, and numbers of records that nobody used yet."""

    def __init__(self, callers: dict[str, bytes], arguments: argparse.Namespace, address: str) -> None:
        self.callers = list(callers.items())
        self.connections: int = arguments.connections
        self.address = address
        self.used = 0

    def prepared(self, count: int, persons: int) -> Prepared:
        """Sign so many registrations, the four kinds in turn, about persons drawn at random."""
        made, host = Prepared(), urlsplit(self.address).netloc
        for index in range(count):
            body = json.dumps(self._body(index % KINDS, persons)).encode()
            caller_id, secret = self.callers[index % len(self.callers)]
            made.add(path=PATH, host=host, caller_id=caller_id, secret=secret, body=body)
        return made

    def _body(self, kind: int, persons: int) -> dict[str, Any]:
        self.used += 1
        known = secrets.randbelow(persons)
        number = f"N{self.used:09d}"
        resident = _register.facts_of(_NEW_AT + self.used if kind == 0 else known)
        bare = kind == 2 or (kind == 0 and self.used // KINDS % 2 == 0)
        if bare:
            resident = {key: value for key, value in resident.items() if key not in ("id_type", "id_number")}
        if kind == 3:
            resident["marital"] = ("10", "20", "30", "40")[secrets.randbelow(4)]
            number = _register.record_number(known)
        return {"source": {"domain": _register.SOURCE, "number": number}, "resident": resident}

    async def closed(self, count: int, persons: int) -> _sides.Timed:
        """Register ``count`` records in rounds, closed loop."""

        async def prepare(_done: int, size: int) -> Prepared:
            return self.prepared(size, persons)

        return await _sides.rounds(
            self.address, prepare, number=count, size=ROUND, connections=self.connections, status=201, holds=GOOD
        )

    async def opened(self, seconds: float, *, rate: float, persons: int) -> tuple[list[float], int]:
        """Let requests arrive at ``rate`` for about ``seconds``; return sorted latencies and errors."""
        place = urlsplit(self.address)
        made = self.prepared(max(int(rate * seconds), 1), persons)
        outcome = await _load.drive_open(
            place.hostname or "", place.port or 0, made.requests, rate=rate, connections=2 * self.connections
        )
        return sorted(outcome.latencies), made.wrong(outcome.answers, status=201, holds=GOOD)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench empi-register", description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--number", type=int, default=12_000, help="registrations in the closed loop")
    parser.add_argument("--rate", type=float, default=300, help="registrations a second of the open model")
    parser.add_argument("--open-seconds", type=float, default=15)
    _sides.arguments_of(parser, connections=32)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    figures = _sides.run(lambda platform: _both(platform, arguments))
    keys = (
        *("rate", "p50_ms", "p95_ms", "p99_ms", "ratio", "growth", "open_rate", "p95_few_ms", "rate_few", "linked"),
        *("baseline_tps", "persons", "n", "errors", "clients", "processes"),
    )
    return _sides.tell("empi-register", keys, figures)


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> Figures:
    parts = assemble(platform.settings)
    callers = await _index.enrol(parts, CALLERS)
    url = _sides.database(platform)
    few = min(FEW, arguments.persons)
    say.print(f"装入 {few:,} 人 / loading persons")
    await _register.load(parts, few)
    cores = await _sides.start_cores(platform, arguments.processes)
    figures = await _ours(parts, Side(callers, arguments, platform.addresses.core), url, arguments, few=few)
    await asyncio.to_thread(_sides.check_durable, url, arguments.number, ("empi_contribution", "access_idempotency"))
    await _sides.stop_cores(platform, cores)
    sample = await _records(parts, url, min(arguments.persons, _SAMPLE))
    await parts.close()
    figures |= await asyncio.to_thread(_sides.baseline, url, baseline_sql(), accounts=sample, seconds=arguments.seconds)
    return figures | {"ratio": figures["rate"] / figures["baseline_tps"], "processes": len(cores)}


async def _ours(parts: Parts, side: Side, url: str, arguments: argparse.Namespace, *, few: int) -> Figures:
    async def at(persons: int) -> tuple[float, list[float], int]:
        await side.closed(WARM_UP, persons)
        await asyncio.to_thread(settle, url)
        seconds, _, errors = await side.closed(arguments.number, persons)
        latencies, late = await side.opened(arguments.open_seconds, rate=arguments.rate, persons=persons)
        return arguments.number / seconds, latencies, errors + late

    rate_few, latencies_few, errors_few = await at(few)
    if arguments.persons > few:
        say.print(f"装入其余，共 {arguments.persons:,} 人 / loading the rest")
        await _register.load(parts, arguments.persons, first=few)
    before = await asyncio.to_thread(_linked, url)
    rate, latencies, errors = await at(arguments.persons)
    asked = (WARM_UP + arguments.number + int(arguments.rate * arguments.open_seconds)) / KINDS
    return {
        "rate": rate,
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "p99_ms": percentile(latencies, 0.99),
        "p95_few_ms": percentile(latencies_few, 0.95),
        "open_rate": arguments.rate,
        "rate_few": rate_few,
        "growth": rate_few / rate,
        "linked": (await asyncio.to_thread(_linked, url) - before) / asked,
        "persons": arguments.persons,
        "n": arguments.number,
        "errors": errors + errors_few,
    }


def _linked(url: str) -> int:
    """Return how many records were linked by likeness: all of the third kind ought to be."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM empi_decision WHERE method = 'probability' AND kind = 'link'")
        return int((row.fetchone() or (0,))[0])


async def _records(parts: Parts, url: str, persons: int) -> int:
    """Write down tokens and blinds of some persons for the baseline, for SM3 is not in PostgreSQL."""
    blinder = await parts.vault.blinder()
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE bench_record (number bigint PRIMARY KEY, mpi uuid NOT NULL, tokens bigint[] NOT NULL,"
            " source_blind bytea NOT NULL, id_blind bytea NOT NULL)"
        )
        with connection.cursor().copy("COPY bench_record FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "uuid", "bigint[]", "bytea", "bytea"])
            for number in range(persons):
                given = _register.facts_of(number)
                facts = Facts(
                    name=given["name"],
                    sex=given["sex"],
                    birth_date=_register.born(given),
                    id_type="01",
                    id_number=given["id_number"],
                    phone=given["phone"],
                    address=given["address"],
                )
                source, certificate = _register.blinds_of(number, blinder)
                tokens = candidates.block_tokens(blinder, facts)
                copy.write_row((number, mpi_of(number), tokens, source, certificate))
    return persons


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
