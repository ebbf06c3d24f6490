"""The SQL of the coalesced verification: each statement serves a whole batch in one round trip.

Rows go in as one JSON document a statement (``json_to_recordset``) or as arrays; psycopg prepares each statement once a
connection. Statements that do not need each other's answers travel together in one pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from yimatong.cards.codes.item import Item
from yimatong.cards.codes.judgement import FAILURES_MAX, SKEW_S, EarlierUse, KnownAccount
from yimatong.cards.errors import CodeBurnt, CodeUsed
from yimatong.kit.db import RawConnection

_NONCES = """
    INSERT INTO access_request_nonce (caller_id, nonce, at)
    SELECT c, n, t FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS i (c, n, t)
    ON CONFLICT DO NOTHING RETURNING caller_id, nonce
"""
_CALLERS = "SELECT caller_id, state FROM access_caller WHERE caller_id = ANY(%s)"
_ACCOUNTS = """
    SELECT DISTINCT ON (vuid) vuid, mpi, state, static_allowed, codes_valid_from FROM cards_account
    WHERE vuid = ANY(%s) ORDER BY vuid, generation DESC
"""
_USES = """
    SELECT u.vuid, u.issued_at, u.nonce, u.used_by, u.used_key, u.record_id, u.failures
    FROM unnest(%s::text[], %s::bigint[], %s::bytea[]) AS i (v, t, n)
    JOIN cards_code_use u ON u.vuid = i.v AND u.issued_at = i.t AND u.nonce = i.n
"""
_CONSUME = """
    INSERT INTO cards_code_use AS u (vuid, issued_at, nonce, used_at, used_by, used_key, record_id, forget_at)
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::timestamptz[], %s::text[], %s::text[], %s::text[],
                         %s::bigint[])
    ON CONFLICT (vuid, issued_at, nonce) DO UPDATE
        SET used_at = excluded.used_at, used_by = excluded.used_by, used_key = excluded.used_key,
            record_id = excluded.record_id
        WHERE u.used_by IS NULL AND u.failures < %s
    RETURNING vuid, issued_at, nonce
"""
_FAIL = """
    INSERT INTO cards_code_use AS u (vuid, issued_at, nonce, failures, forget_at)
    SELECT v, t, n, count(*), max(f) FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::bigint[]) AS i (v, t, n, f)
    GROUP BY v, t, n ORDER BY v, t, n
    ON CONFLICT (vuid, issued_at, nonce) DO UPDATE SET failures = least(u.failures + excluded.failures, 100)
"""
_RECORD = """
    WITH i AS (SELECT * FROM json_to_recordset(%s) AS x (vuid text, record_id text, at timestamptz, code_kind text,
        purpose text, result text, caller_id text, institution_id text, front_id text, request_id text,
        repeats boolean)),
    r AS (INSERT INTO cards_code_record (vuid, record_id, at, event, code_kind, purpose, result, caller_id,
            institution_id, front_id, request_id)
        SELECT vuid, record_id, at, 'verified', code_kind, purpose, result, caller_id, institution_id, front_id,
            request_id FROM i WHERE NOT repeats)
    INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
    SELECT at, caller_id, institution_id, 'codes:verify', 'code_record', record_id, result, request_id FROM i
"""


async def admit(connection: RawConnection, items: Sequence[Item]) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """Take request nonces and read callers' states: the fresh (caller, nonce) pairs, and the state by caller."""
    keys = sorted({(item.caller.caller_id, item.nonce): item for item in items}.items())
    async with connection.pipeline():
        taken = await connection.execute(
            _NONCES,
            ([key[0] for key, _ in keys], [key[1] for key, _ in keys], [item.now for _, item in keys]),
            prepare=True,
        )
        callers = await connection.execute(_CALLERS, (list({key[0] for key, _ in keys}),), prepare=True)
        fresh = {(str(row[0]), str(row[1])) for row in await taken.fetchall()}
        states = {str(row[0]): str(row[1]) for row in await callers.fetchall()}
    return fresh, states


async def accounts(connection: RawConnection, vuids: Iterable[str]) -> dict[str, KnownAccount]:
    """Return the latest account of each VUID that has one."""
    cursor = await connection.execute(_ACCOUNTS, (list(vuids),), prepare=True)
    rows: Sequence[Any] = await cursor.fetchall()
    return {row[0]: KnownAccount(*row) for row in rows}


async def uses(
    connection: RawConnection, keys: Sequence[tuple[str, int, bytes]]
) -> dict[tuple[str, int, bytes], EarlierUse]:
    """Return what is known of codes that were seen before, by use key."""
    cursor = await connection.execute(_USES, _columns(keys), prepare=True)
    rows: Sequence[Any] = await cursor.fetchall()
    return {(row[0], row[1], bytes(row[2])): EarlierUse(*row[3:]) for row in rows}


async def consume(connection: RawConnection, items: Sequence[Item]) -> None:
    """Use up codes; an item whose code somebody else used up first is refused."""
    if not items:
        return
    ordered = sorted(items, key=lambda item: item.use_key)
    cursor = await connection.execute(
        _CONSUME,
        (
            *_columns([item.use_key for item in ordered]),
            [item.now for item in ordered],
            [item.caller.caller_id for item in ordered],
            [item.idempotency_key for item in ordered],
            [item.record_id for item in ordered],
            [_forget_at(item) for item in ordered],
            FAILURES_MAX,
        ),
        prepare=True,
    )
    rows: Sequence[Any] = await cursor.fetchall()
    done = {(row[0], row[1], bytes(row[2])) for row in rows}
    for item in ordered:
        if item.use_key not in done:
            item.refusal = CodeBurnt() if item.earlier and item.earlier.failures else CodeUsed()


async def count_failures(connection: RawConnection, items: Sequence[Item]) -> None:
    """Count one failure against each code of ``items``."""
    if not items:
        return
    await connection.execute(
        _FAIL, (*_columns([item.use_key for item in items]), [_forget_at(item) for item in items]), prepare=True
    )


async def record(connection: RawConnection, items: Sequence[Item]) -> None:
    """Write the record and the audit row of every item."""
    if items:
        await connection.execute(_RECORD, (_encoder.encode([_row(item) for item in items]).decode(),), prepare=True)


_encoder = msgspec.json.Encoder()


def _row(item: Item) -> dict[str, object]:
    caller = item.caller
    return {
        "vuid": item.code.vuid if item.code else "",
        "record_id": item.record_id,
        "at": item.now,
        "code_kind": item.code.kind.value if item.code else "unreadable",
        "purpose": item.wanted.purpose.value,
        "result": item.refusal.code if item.refusal else "ok",
        "caller_id": caller.caller_id,
        "institution_id": caller.institution_id,
        "front_id": caller.front_id,
        "request_id": item.request_id,
        "repeats": item.repeats,
    }


def _columns(keys: Sequence[tuple[str, int, bytes]]) -> tuple[list[str], list[int], list[bytes]]:
    return [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]


def _forget_at(item: Item) -> int:
    valid = item.valid
    return 0 if valid is None else valid.issued_at + valid.ttl_s + 2 * SKEW_S
