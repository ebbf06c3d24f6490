"""The SQL of the coalesced verification: one statement looks everything up, one stores everything, for a whole batch.

Rows go in as array literals built here, because all their parts are of known alphabets and psycopg's own arrays cost
more than the rest of a verification; the one free text (the idempotency key) is escaped. Every table is reached by its
key, row by row (LATERAL), so the plan does not depend on how many rows the tables had when it was made.

Here and in ``issuing`` a statement reads several rooms' tables at once (docs/decisions/0005): the alternative is a
round trip per room and batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from yimatong.cards.codes.item import Found, Item
from yimatong.cards.codes.judgement import (
    DEFAULT,
    FAILURES_MAX,
    SKEW_S_MAX,
    EarlierUse,
    KnownAccount,
    Policy,
    account_of_today,
    is_label,
)
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection

MASTER = """
    LEFT JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = a.mpi LIMIT 1) q ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_account
                       WHERE (a.alias_of IS NOT NULL OR q.mpi <> a.mpi
                              OR EXISTS (SELECT FROM empi_person WHERE current_mpi = q.mpi))
                         AND mpi IN (SELECT q.mpi UNION ALL SELECT mpi FROM empi_person WHERE current_mpi = q.mpi)
                         AND state NOT IN ('cancelled', 'alias')
                       ORDER BY opened_at, vuid LIMIT 1) m ON true"""
"""The live account that stands for the row ``a`` of a VUID, as ``m``: the elder where the index joined persons.

``m`` is read only where an account's own row is not the whole truth: an alias, or persons that the index joined.
"""

_LOOK_UP = f"""
    WITH i AS MATERIALIZED (
        SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bytea[])
            AS i (ord, caller, nonce, vuid, issued_at, code_nonce)),
    fresh AS (
        INSERT INTO access_request_nonce (caller_id, nonce, at)
        SELECT DISTINCT caller, nonce, %s::timestamptz FROM i ORDER BY caller, nonce
        ON CONFLICT DO NOTHING RETURNING caller_id, nonce)
    SELECT i.ord, (i.caller, i.nonce) IN (SELECT caller_id, nonce FROM fresh), c.state, t.throttled_until,
           a.mpi, a.state, a.static_allowed, a.codes_valid_from, a.alias_on,
           u.used_by, u.used_key, u.record_id, u.failures, u.uses_left, u.place, u.earlier, u.token_digest,
           coalesce(y.uses, z.uses), coalesce(y.skew_s, z.skew_s), coalesce(y.purposes, z.purposes),
           coalesce(y.rubbish_max, z.rubbish_max),
           m.vuid, m.mpi, m.state, m.static_allowed, m.codes_valid_from,
           p.mpi, p.sealed, p.sex, p.birth_date, p.state
    FROM i
    LEFT JOIN LATERAL (SELECT state, institution_id FROM access_caller WHERE caller_id = i.caller LIMIT 1) c ON true
    LEFT JOIN LATERAL (SELECT throttled_until FROM cards_code_trouble WHERE caller_id = i.caller LIMIT 1) t ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_code_policy WHERE subject = i.caller LIMIT 1) y ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_code_policy
                       WHERE y.subject IS NULL AND subject = c.institution_id LIMIT 1) z ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_account WHERE vuid = i.vuid ORDER BY generation DESC LIMIT 1) a ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_code_use WHERE vuid = i.vuid AND issued_at = i.issued_at
                       AND nonce = i.code_nonce LIMIT 1) u ON true
{MASTER}
    LEFT JOIN LATERAL (SELECT * FROM empi_person WHERE mpi = q.mpi LIMIT 1) p ON true
"""  # noqa: S608 -- put together from parts of this module
"""``z``, the institution's policy, stands in for a caller without one of its own (``y``)."""

_LABELS = """
    SELECT i.ord, l.state FROM unnest(%s::int[], %s::text[], %s::text[]) AS i (ord, vuid, serial)
    JOIN LATERAL (SELECT state FROM cards_label WHERE vuid = i.vuid AND serial = i.serial LIMIT 1) l ON true
"""

_TAKEN = (
    "excluded.used_by IS NOT NULL AND u.failures < %s"
    " AND (u.used_by IS NULL OR (u.uses_left > 0 AND u.place IS NOT DISTINCT FROM excluded.place))"
)
"""Whether a use that is about to be stored may have the code: nobody had it, or it has uses left at this place."""


_EARLIER = r"CASE WHEN u.used_by IS NOT NULL THEN u.earlier || concat_ws(E'\n', u.used_by, u.used_key, u.record_id) END"
_USES_LEFT = "CASE WHEN u.used_by IS NULL THEN excluded.uses_left ELSE u.uses_left - 1 END"


def _if_taken(column: str, value: str = "") -> str:
    return f"{column} = CASE WHEN {_TAKEN} THEN {value or 'excluded.' + column} ELSE u.{column} END"


_STORE = f"""
    WITH i AS MATERIALIZED (
        SELECT * FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::bytea[], %s::text[], %s::text[],
                             %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                             %s::text[], %s::text[], %s::bigint[], %s::smallint[], %s::smallint[], %s::text[],
                             %s::smallint[], %s::bool[], %s::smallint[])
            AS i (ord, vuid, issued_at, code_nonce, record_id, request_id, at,
                  caller, institution, front, used_key, kind, purpose, result,
                  forget_at, uses, fails, place, key_version, repeats, took_ms)),
    used AS (
        INSERT INTO cards_code_use AS u (vuid, issued_at, nonce, used_at, used_by, used_key, record_id, uses_left,
                                         place, failures, forget_at)
        SELECT vuid, issued_at, code_nonce, CASE WHEN uses > 0 THEN at END, CASE WHEN uses > 0 THEN caller END,
               CASE WHEN uses > 0 THEN used_key END, CASE WHEN uses > 0 THEN record_id END, greatest(uses - 1, 0),
               place, fails, forget_at
        FROM i WHERE uses > 0 OR fails > 0
        ORDER BY vuid, issued_at, code_nonce
        ON CONFLICT (vuid, issued_at, nonce) DO UPDATE SET
            failures = least(u.failures + excluded.failures, 100),
            {_if_taken("used_at")}, {_if_taken("used_by")}, {_if_taken("used_key")}, {_if_taken("record_id")},
            {_if_taken("place")},
            {_if_taken("uses_left", _USES_LEFT)},
            {_if_taken("earlier", _EARLIER)}
        RETURNING vuid, issued_at, nonce, used_by, used_key, record_id),
    t AS MATERIALIZED (
        SELECT i.*, uses > 0 AND record_id NOT IN (SELECT record_id FROM used WHERE record_id IS NOT NULL) AS raced
        FROM i),
    k AS MATERIALIZED (
        SELECT t.*, CASE WHEN raced THEN (
            SELECT w.record_id FROM used w
            WHERE w.vuid = t.vuid AND w.issued_at = t.issued_at AND w.nonce = t.code_nonce
              AND w.used_by = t.caller AND w.used_key = t.used_key) END AS kept
        FROM t),
    o AS (
        SELECT k.*, CASE WHEN raced AND kept IS NULL THEN 'CRD-2004' ELSE result END AS outcome FROM k),
    r AS (
        INSERT INTO cards_code_record (vuid, record_id, at, event, code_kind, purpose, result, caller_id,
            institution_id, front_id, request_id, key_version, took_ms)
        SELECT vuid, record_id, at, 'verified', kind, purpose, outcome, caller, institution, front, request_id,
               key_version, took_ms
        FROM o WHERE NOT repeats AND kept IS NULL),
    e AS (
        INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
        SELECT at, caller, institution, 'codes:verify', 'code_record', record_id, outcome, request_id FROM o)
    SELECT ord, kept FROM o WHERE raced
"""  # noqa: S608 -- put together from parts of this module
"""A code's uses and failures are one row's one change, in the order of their keys, so that no two batches can wait for
each other. ``kept``: two nodes had one request at once; the second answers with the first one's record."""


async def look_up(connection: RawConnection, items: Sequence[Item]) -> None:
    """Take the request nonces and read what is known of each item: caller, policy, account, label, use, person."""
    keys = [item.use_key if item.valid else ("", 0, b"") for item in items]
    parameters = (
        plain(range(len(items))),
        plain(item.caller.caller_id for item in items),
        plain(item.nonce for item in items),
        plain(item.code.vuid if item.code else '""' for item in items),
        plain(key[1] for key in keys),
        octets(key[2] for key in keys),
        items[0].now,
    )
    cursor = await connection.execute(_LOOK_UP, parameters)
    labels = await _look_up_labels(connection, items)
    rows: Sequence[Any] = await cursor.fetchall()
    for row in rows:
        item = items[row[0]]
        account = None if row[4] is None or item.code is None else KnownAccount(item.code.vuid, *row[4:9])
        if account is not None and (row[21] is not None or account.state == "alias"):
            account = account_of_today(account, None if row[21] is None else KnownAccount(*row[21:26]))
        item.found = Found(
            fresh=row[1],
            caller_state=row[2] or "revoked",
            throttled_until=row[3],
            account=account,
            earlier=None if row[12] is None else EarlierUse(*row[9:17]),
            policy=DEFAULT if row[17] is None else Policy(*row[17:21]),
            person=None if row[26] is None else row[26:],
        )
    if labels is not None:
        for order, state in await labels.fetchall():
            items[order].label_state = state


async def _look_up_labels(connection: RawConnection, items: Sequence[Item]) -> Any:
    """Ask for the printed labels in the same round trip; most batches have none, and then nothing is asked."""
    printed = [(order, item.code) for order, item in enumerate(items) if item.code and is_label(item.code)]
    if not printed:
        return None
    parameters = (
        plain(order for order, _ in printed),
        plain(code.vuid for _, code in printed),
        texts(code.label for _, code in printed),
    )
    return await connection.execute(_LABELS, parameters)


async def store(connection: RawConnection, items: Sequence[Item]) -> Any:
    """Use up the good codes, count the failures and write every item's record and audit row.

    No two of them may use one code, and one of them carries the failures of all (``Item.fails``). Return the cursor
    with who lost a race; it is read after the commit, so that the commit travels with it.
    """
    keys = [item.use_key if item.valid else ("", 0, b"") for item in items]
    ended = time.monotonic()
    parameters = (
        plain(range(len(items))),
        plain(item.code.vuid if item.code else '""' for item in items),
        plain(key[1] for key in keys),
        octets(key[2] for key in keys),
        plain(item.record_id for item in items),
        plain(item.request_id for item in items),
        plain(f'"{item.now}"' for item in items),
        plain(item.caller.caller_id for item in items),
        texts(item.caller.institution_id for item in items),
        plain(item.caller.front_id for item in items),
        texts(item.mark for item in items),
        plain(item.code.kind if item.code else "unreadable" for item in items),
        plain(item.wanted.purpose for item in items),
        plain(item.refusal.code if item.refusal else "ok" for item in items),
        plain(forget_at(item) for item in items),
        plain(item.uses if item.consumes else 0 for item in items),
        plain(item.fails for item in items),
        texts(item.place for item in items),
        plain(item.key_version for item in items),
        plain("t" if item.repeats else "f" for item in items),
        plain(item.took_ms(ended) for item in items),
        *[FAILURES_MAX] * 7,
    )
    return await connection.execute(_STORE, parameters)


def forget_at(item: Item) -> int:
    """Return when a use of this item's code may be forgotten, in Unix seconds; 0 for a static code."""
    valid = item.valid
    return 0 if valid is None else valid.issued_at + valid.ttl_s + 2 * SKEW_S_MAX
