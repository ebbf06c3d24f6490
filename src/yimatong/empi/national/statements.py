"""The SQL of the ledger and the inbox."""

from __future__ import annotations

from typing import Final

NOTE: Final = """
    INSERT INTO empi_national_item AS n (item_id, mpi, version, due_at, next_at)
    SELECT i, m, v, %s::timestamptz, %s::timestamptz FROM unnest(%s::text[], %s::uuid[], %s::int[]) AS r (i, m, v)
    ORDER BY m
    ON CONFLICT (mpi) WHERE state = 'due' DO UPDATE SET version = greatest(n.version, excluded.version)
"""

EVERYBODY: Final = """
    SELECT mpi, version FROM empi_person WHERE mpi > %s AND state <> 'retired' ORDER BY mpi LIMIT %s
"""

CLAIM: Final = """
    SELECT n.item_id, n.mpi, n.version, n.state, n.action, n.survivor_mpi, n.message_id, n.message_sealed, n.attempts,
           n.due_at
    FROM empi_national_item n
    WHERE n.state IN ('due', 'sent', 'unknown') AND n.next_at <= %s
      AND (n.state <> 'due' OR NOT EXISTS (
          SELECT FROM empi_national_item o WHERE o.mpi = n.mpi AND o.state IN ('sent', 'unknown')))
    ORDER BY n.next_at, n.item_id LIMIT %s FOR UPDATE OF n SKIP LOCKED
"""

PEOPLE: Final = """
    SELECT p.mpi, p.current_mpi, p.sealed, p.sex, p.birth_date, p.state, p.deceased_on, p.version,
           NOT EXISTS (SELECT FROM empi_contribution c
                       WHERE c.current AND c.kind <> 'national'
                         AND (c.mpi = p.mpi OR c.mpi IN (SELECT mpi FROM empi_person WHERE current_mpi = p.mpi)))
           AND EXISTS (SELECT FROM empi_contribution c WHERE c.mpi = p.mpi AND c.current) AS from_there,
           l.action, l.digest,
           EXISTS (SELECT FROM empi_national_item o
                   WHERE o.mpi = l.survivor_mpi AND o.state IN ('due', 'sent', 'unknown')) AS survivor_speaks
    FROM empi_person p
    LEFT JOIN LATERAL (
        SELECT action, digest, survivor_mpi FROM empi_national_item
        WHERE mpi = p.mpi AND state = 'acknowledged' ORDER BY settled_at DESC, item_id DESC LIMIT 1) l ON true
    WHERE p.mpi = ANY(%s)
"""
"""``from_there``: nobody but the national index speaks of her; the last message that was acknowledged, and whether the
person into whom that one put her has something to say."""

SENT: Final = """
    UPDATE empi_national_item n SET state = 'sent', action = r.action, survivor_mpi = r.survivor, version = r.version,
           message_id = r.message_id, message_sealed = r.sealed, digest = r.digest, sent_at = %s, next_at = %s,
           attempts = n.attempts + 1
    FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::int[], %s::text[], %s::bytea[], %s::bytea[])
         AS r (item_id, action, survivor, version, message_id, sealed, digest)
    WHERE n.item_id = r.item_id
"""

ASKED_AGAIN: Final = """
    UPDATE empi_national_item SET state = 'sent', next_at = %s, attempts = attempts + 1 WHERE item_id = ANY(%s)
"""

POSTPONE: Final = "UPDATE empi_national_item SET next_at = %s WHERE item_id = ANY(%s)"

DROP: Final = "DELETE FROM empi_national_item WHERE item_id = ANY(%s)"
"""Only of rows that are due and turned out to say nothing new."""

SETTLED: Final = """
    UPDATE empi_national_item SET state = %s, settled_at = %s, message_sealed = NULL, reason = %s, national_blind = %s
    WHERE item_id = %s AND state = 'sent' AND message_id = %s RETURNING 1
"""

UNKNOWN: Final = """
    UPDATE empi_national_item SET state = 'unknown', next_at = %s WHERE item_id = %s AND state = 'sent'
"""

DUE_AGAIN: Final = """
    UPDATE empi_national_item n
    SET state = 'due', action = NULL, survivor_mpi = NULL, message_id = NULL, message_sealed = NULL, digest = NULL,
        next_at = %s, sent_at = NULL
    WHERE item_id = %s AND state = 'sent'
      AND NOT EXISTS (SELECT FROM empi_national_item o WHERE o.mpi = n.mpi AND o.state = 'due')
    RETURNING 1
"""

DROP_SENT: Final = "DELETE FROM empi_national_item WHERE item_id = %s AND state = 'sent'"
"""What never left, while a newer row of the person is due: that one says everything; it keeps the older's age."""

OLDER: Final = """
    UPDATE empi_national_item o SET due_at = least(o.due_at, n.due_at) FROM empi_national_item n
    WHERE n.item_id = %s AND o.mpi = n.mpi AND o.state = 'due'
"""

AGAIN: Final = """
    SELECT mpi, version FROM empi_national_item WHERE item_id = %s AND state = 'refused'
"""

PROGRESS: Final = """
    SELECT count(*) FILTER (WHERE state = 'due'), count(*) FILTER (WHERE state = 'sent'),
           count(*) FILTER (WHERE state = 'unknown'), min(due_at),
           (SELECT count(*) FROM empi_national_item WHERE state = 'refused'),
           (SELECT count(*) FROM empi_national_item WHERE state = 'acknowledged' AND settled_at > %s),
           (SELECT count(*) FROM empi_national_inbox WHERE state = 'received'),
           (SELECT count(*) FROM empi_national_inbox WHERE state IN ('refused', 'parked'))
    FROM empi_national_item WHERE state IN ('due', 'sent', 'unknown')
"""

REFUSED: Final = """
    SELECT item_id, action, reason, settled_at, attempts FROM empi_national_item WHERE state = 'refused'
    ORDER BY settled_at DESC LIMIT %s
"""

STUCK: Final = """
    SELECT notice_id, kind, state, outcome, received_at FROM empi_national_inbox WHERE state IN ('refused', 'parked')
    ORDER BY settled_at DESC LIMIT %s
"""

CURSOR: Final = """
    INSERT INTO empi_national_cursor (name, moved_at) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING seq, mpi
"""

MOVE: Final = """
    UPDATE empi_national_cursor SET seq = greatest(seq, %s), mpi = %s, done = done + %s, moved_at = %s WHERE name = %s
"""

RECEIVE: Final = """
    INSERT INTO empi_national_inbox (notice_id, seq, kind, mpis, subject, said_at, sealed, received_at, next_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (notice_id) DO NOTHING
"""

WAITING: Final = """
    SELECT notice_id FROM empi_national_inbox n
    WHERE state = 'received' AND next_at <= %s AND NOT EXISTS (
        SELECT FROM empi_national_inbox o
        WHERE o.state = 'received' AND (o.said_at, o.seq) < (n.said_at, n.seq) AND o.mpis && n.mpis)
    ORDER BY said_at, seq LIMIT %s
"""
"""Those that no older one of the same person is before."""

TAKE: Final = """
    SELECT kind, subject, said_at, sealed, attempts FROM empi_national_inbox
    WHERE notice_id = %s AND state = 'received' FOR UPDATE SKIP LOCKED
"""

NEWER: Final = """
    SELECT EXISTS (SELECT FROM empi_national_inbox
                   WHERE kind = 'distributed' AND subject = %s AND said_at > %s AND state = 'done'
                     AND outcome <> 'outdated')
"""

DONE: Final = """
    UPDATE empi_national_inbox SET state = %s, outcome = %s, became = %s, settled_at = %s, attempts = attempts + 1,
           sealed = CASE WHEN %s = 'done' THEN NULL ELSE sealed END
    WHERE notice_id = %s
"""

FAILED: Final = """
    UPDATE empi_national_inbox SET attempts = attempts + 1, next_at = %s, outcome = %s
    WHERE notice_id = %s AND state = 'received'
"""

TAKE_UP: Final = """
    UPDATE empi_national_inbox SET state = 'received', settled_at = NULL, attempts = 0, next_at = %s
    WHERE notice_id = %s AND state IN ('refused', 'parked') RETURNING 1
"""

SAID_AT: Final = """
    UPDATE empi_contribution SET at = %s, real_name_at = %s
    WHERE contribution_id = %s
      AND mpi IN (SELECT %s::uuid UNION ALL SELECT mpi FROM empi_person WHERE current_mpi = %s)
"""

NUMBERS: Final = """
    SELECT i.number_blind, i.relation_id, i.number_sealed FROM empi_identifier i
    WHERE i.domain = %s AND i.state = 'active'
      AND i.mpi IN (SELECT %s::uuid UNION ALL SELECT mpi FROM empi_person WHERE current_mpi = %s)
"""
