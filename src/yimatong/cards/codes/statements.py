"""The SQL of the coalesced verification: one statement looks everything up, one stores everything, for a whole batch.

Rows go in as array literals built here, because all their parts are of known alphabets and psycopg's own arrays cost
more than the rest of a verification; the one free text (the idempotency key) is escaped. Every table is reached by its
key, row by row (LATERAL), so the plan does not depend on how many rows the tables had when it was made.

This is the one place where a statement reads three rooms' tables at once (docs/decisions/0005): the alternative is a
round trip per room and batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from yimatong.cards.codes.item import Found, Item
from yimatong.cards.codes.judgement import FAILURES_MAX, SKEW_S, EarlierUse, KnownAccount
from yimatong.kit.db import RawConnection

_LOOK_UP = """
    WITH i AS MATERIALIZED (
        SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bytea[])
            AS i (ord, caller, nonce, vuid, issued_at, code_nonce)),
    fresh AS (
        INSERT INTO access_request_nonce (caller_id, nonce, at)
        SELECT DISTINCT caller, nonce, %s::timestamptz FROM i ORDER BY caller, nonce
        ON CONFLICT DO NOTHING RETURNING caller_id, nonce)
    SELECT i.ord, f.nonce IS NOT NULL, c.state,
           a.mpi, a.state, a.static_allowed, a.codes_valid_from,
           u.used_by, u.used_key, u.record_id, u.failures,
           p.mpi, p.sealed, p.sex, p.birth_date, p.state
    FROM i
    LEFT JOIN fresh f ON f.caller_id = i.caller AND f.nonce = i.nonce
    LEFT JOIN LATERAL (SELECT state FROM access_caller WHERE caller_id = i.caller LIMIT 1) c ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_account WHERE vuid = i.vuid ORDER BY generation DESC LIMIT 1) a ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_code_use WHERE vuid = i.vuid AND issued_at = i.issued_at
                       AND nonce = i.code_nonce LIMIT 1) u ON true
    LEFT JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = a.mpi LIMIT 1) q ON true
    LEFT JOIN LATERAL (SELECT * FROM empi_person WHERE mpi = q.mpi LIMIT 1) p ON true
"""

_STORE = """
    WITH i AS MATERIALIZED (
        SELECT * FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::bytea[], %s::text[], %s::text[],
                             %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                             %s::text[], %s::text[], %s::bigint[], %s::bool[], %s::bool[], %s::smallint[])
            AS i (ord, vuid, issued_at, code_nonce, record_id, request_id, at,
                  caller, institution, front, used_key, kind, purpose, result,
                  forget_at, consumes, repeats, took_ms)),
    used AS (
        INSERT INTO cards_code_use AS u (vuid, issued_at, nonce, used_at, used_by, used_key, record_id, forget_at)
        SELECT vuid, issued_at, code_nonce, at, caller, used_key, record_id, forget_at FROM i WHERE consumes
        ORDER BY vuid, issued_at, code_nonce
        ON CONFLICT (vuid, issued_at, nonce) DO UPDATE
            SET used_at = excluded.used_at, used_by = excluded.used_by, used_key = excluded.used_key,
                record_id = excluded.record_id
            WHERE u.used_by IS NULL AND u.failures < %s
        RETURNING record_id),
    o AS MATERIALIZED (
        SELECT i.*, CASE WHEN consumes AND w.record_id IS NULL THEN 'CRD-2004' ELSE result END AS outcome
        FROM i LEFT JOIN used w ON w.record_id = i.record_id),
    r AS (
        INSERT INTO cards_code_record (vuid, record_id, at, event, code_kind, purpose, result, caller_id,
            institution_id, front_id, request_id, took_ms)
        SELECT vuid, record_id, at, 'verified', kind, purpose, outcome, caller, institution, front, request_id, took_ms
        FROM o WHERE NOT repeats),
    e AS (
        INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
        SELECT at, caller, institution, 'codes:verify', 'code_record', record_id, outcome, request_id FROM o)
    SELECT ord FROM o WHERE outcome <> result
"""

_FAIL = """
    INSERT INTO cards_code_use AS u (vuid, issued_at, nonce, failures, forget_at)
    SELECT v, t, n, count(*), max(f) FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::bigint[]) AS i (v, t, n, f)
    GROUP BY v, t, n ORDER BY v, t, n
    ON CONFLICT (vuid, issued_at, nonce) DO UPDATE SET failures = least(u.failures + excluded.failures, 100)
"""


async def look_up(connection: RawConnection, items: Sequence[Item]) -> None:
    """Take the request nonces and read what is known of each item's caller, account, earlier use and person."""
    keys = [item.use_key if item.valid else ("", 0, b"") for item in items]
    parameters = (
        _plain(range(len(items))),
        _plain(item.caller.caller_id for item in items),
        _plain(item.nonce for item in items),
        _plain(item.code.vuid if item.code else '""' for item in items),
        _plain(key[1] for key in keys),
        _octets(key[2] for key in keys),
        items[0].now,
    )
    cursor = await connection.execute(_LOOK_UP, parameters)
    rows: Sequence[Any] = await cursor.fetchall()
    for row in rows:
        item = items[row[0]]
        item.found = Found(
            fresh=row[1],
            caller_state=row[2] or "revoked",
            account=None if row[3] is None or item.code is None else KnownAccount(item.code.vuid, *row[3:7]),
            earlier=None if row[10] is None else EarlierUse(*row[7:11]),
            person=None if row[11] is None else row[11:],
        )


async def store(connection: RawConnection, items: Sequence[Item]) -> Any:
    """Use up the good codes and write every item's record and audit row; return the cursor with who lost a race.

    Its result is read after the commit, so that the commit travels with it.
    """
    keys = [item.use_key if item.valid else ("", 0, b"") for item in items]
    ended = time.monotonic()
    parameters = (
        _plain(range(len(items))),
        _plain(item.code.vuid if item.code else '""' for item in items),
        _plain(key[1] for key in keys),
        _octets(key[2] for key in keys),
        _plain(item.record_id for item in items),
        _plain(item.request_id for item in items),
        _plain(f'"{item.now}"' for item in items),
        _plain(item.caller.caller_id for item in items),
        _plain(item.caller.institution_id or "NULL" for item in items),
        _plain(item.caller.front_id or "NULL" for item in items),
        _quoted(item.idempotency_key for item in items),
        _plain(item.code.kind if item.code else "unreadable" for item in items),
        _plain(item.wanted.purpose for item in items),
        _plain(item.refusal.code if item.refusal else "ok" for item in items),
        _plain(forget_at(item) for item in items),
        _plain("t" if item.consumes else "f" for item in items),
        _plain("t" if item.repeats else "f" for item in items),
        _plain(item.took_ms(ended) for item in items),
        FAILURES_MAX,
    )
    return await connection.execute(_STORE, parameters)


async def count_failures(connection: RawConnection, items: Sequence[Item]) -> None:
    """Count one failure against each code of ``items``."""
    keys = [item.use_key for item in items]
    parameters = (
        _plain(key[0] for key in keys),
        _plain(key[1] for key in keys),
        _octets(key[2] for key in keys),
        _plain(forget_at(item) for item in items),
    )
    await connection.execute(_FAIL, parameters)


def forget_at(item: Item) -> int:
    """Return when a use of this item's code may be forgotten, in Unix seconds; 0 for a static code."""
    valid = item.valid
    return 0 if valid is None else valid.issued_at + valid.ttl_s + 2 * SKEW_S


def _plain(values: Iterable[object]) -> str:
    """Write an array literal of values that need no quotes: digits, hex, ids, and what the caller quoted itself."""
    return "{" + ",".join(map(str, values)) + "}"


def _octets(values: Iterable[bytes]) -> str:
    return "{" + ",".join(['"\\\\x' + value.hex() + '"' for value in values]) + "}"


def _quoted(values: Iterable[str]) -> str:
    escaped = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(escaped) + '"}'
