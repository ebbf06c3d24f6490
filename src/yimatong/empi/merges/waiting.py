"""The SQL of the steward's queue: opening many reviews at once, closing what a merge made void, opening that again.

A review keeps the ids that it was opened with; whom they mean today is read through the persons' pointers. So a merge
redirects the reviews of the id that it retired without touching them, and an unmerge leaves them as they were.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import text

from yimatong.empi.matching.facts import FieldEvidence
from yimatong.empi.merges import decisions
from yimatong.empi.merges.decisions import Method, NewDecision, evidence_json
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import Connection, RawConnection
from yimatong.kit.ids import new_id

Kind = Literal["certificate_conflict", "probable", "cluster_conflict", "facts_changed", "national"]

_BASE: Final[dict[Kind, int]] = {
    "cluster_conflict": 55,
    "certificate_conflict": 50,
    "facts_changed": 45,
    "national": 40,
    "probable": 20,
}
_LIKELY_MOST: Final = 25
_TWINS: Final = 20
_RISK_MAX: Final = 100


class NewReview(NamedTuple):
    """A pair for a steward, by any ids and in any order; ``because`` says in a word why it came (no personal data).

    ``digests`` (``merges.rejections.digests``) say what is known of both now: a pair that was rejected comes back only
    with other ones, as ``facts_changed``; without digests it does not come back.
    """

    left: UUID
    right: UUID
    kind: Kind
    weight: float | None = None
    probability: float | None = None
    evidence: tuple[FieldEvidence, ...] = ()
    guards: tuple[str, ...] = ()
    rule_version: int | None = None
    because: str = ""
    institution_id: str | None = None
    digests: tuple[bytes, bytes] | None = None
    method: Method = "probability"


def risk(wanted: NewReview) -> int:
    """Return what a wrong answer may cost, 0 to 100, before anybody asks what hangs on both persons.

    It grows with the kind (conflicts of certificates before likeness), with how sure the engine is (who is nearly sure
    is believed), and where both look like twins.
    """
    likely = round(_LIKELY_MOST * (wanted.probability or 0.0))
    twins = _TWINS if any("twin" in guard for guard in wanted.guards) else 0
    return min(_BASE[wanted.kind] + likely + twins, _RISK_MAX)


_MEMBERS = "SELECT {0} UNION ALL SELECT mpi FROM empi_person WHERE current_mpi = {0}"
_BOTH = f"{_MEMBERS.format('w.lo')} UNION ALL {_MEMBERS.format('w.hi')}"
_HANGS = """
    EXISTS (SELECT FROM empi_{table} WHERE mpi = w.lo) AND EXISTS (SELECT FROM empi_{table} WHERE mpi = w.hi)
"""

_OPEN = f"""
    WITH i AS MATERIALIZED (
        SELECT * FROM unnest(%s::int[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::float8[], %s::float8[],
                             %s::text[], %s::int[], %s::int[], %s::text[], %s::text[], %s::bytea[], %s::bytea[])
            AS i (ord, id, l, r, kind, weight, probability, evidence, rules, risk, because, institution, all_facts,
                  identity)),
    w AS MATERIALIZED (
        SELECT DISTINCT ON (least(a.mpi, b.mpi), greatest(a.mpi, b.mpi))
               i.*, least(a.mpi, b.mpi) AS lo, greatest(a.mpi, b.mpi) AS hi
        FROM i
        JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = i.l LIMIT 1) a ON true
        JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = i.r LIMIT 1) b ON true
        WHERE a.mpi <> b.mpi
          AND NOT EXISTS (SELECT FROM empi_person WHERE mpi IN (a.mpi, b.mpi) AND state = 'cancelled')
        ORDER BY least(a.mpi, b.mpi), greatest(a.mpi, b.mpi), i.risk DESC, i.ord),
    k AS MATERIALIZED (
        SELECT w.*, e.review_id AS waiting, p.pairs,
               least(w.risk + CASE WHEN {_HANGS.format(table="certificate")} THEN 10 ELSE 0 END
                            + CASE WHEN {_HANGS.format(table="identifier")} THEN 10 ELSE 0 END, 100) AS costs
        FROM w
        LEFT JOIN LATERAL (SELECT review_id FROM empi_review
                           WHERE state IN ('open', 'asked', 'later') AND left_mpi IN ({_BOTH})
                             AND right_mpi IN ({_BOTH}) LIMIT 1) e ON true
        LEFT JOIN LATERAL (
            SELECT count(*) AS pairs,
                   count(*) FILTER (WHERE w.all_facts IS NULL OR facts_digest IN (w.all_facts, w.identity)) AS unchanged
            FROM empi_rejected_pair
            WHERE lifted_at IS NULL AND left_mpi IN ({_BOTH}) AND right_mpi IN ({_BOTH})) p ON true
        WHERE p.unchanged = 0),
    o AS (
        INSERT INTO empi_review (review_id, left_mpi, right_mpi, kind, weight, probability, evidence, rule_version,
                                 risk, because, institution_id, opened_at)
        SELECT id, lo, hi, CASE WHEN pairs > 0 THEN 'facts_changed' ELSE kind END, weight, probability,
               evidence::jsonb, rules, costs,
               CASE WHEN pairs > 0 THEN 'rejected_before' ELSE because END, institution, %s::timestamptz
        FROM k WHERE waiting IS NULL ORDER BY lo, hi
        ON CONFLICT (left_mpi, right_mpi) WHERE state IN ('open', 'asked', 'later') DO UPDATE
            SET risk = greatest(empi_review.risk, excluded.risk)
        RETURNING review_id, left_mpi, right_mpi, kind),
    s AS (
        INSERT INTO empi_review_step (review_id, at, operator_id, what)
        SELECT o.review_id, %s::timestamptz, %s, 'opened' FROM o JOIN k ON k.id = o.review_id)
    SELECT k.lo, k.hi, coalesce(k.waiting, o.review_id), coalesce(o.review_id = k.id, false)
    FROM k LEFT JOIN o ON o.left_mpi = k.lo AND o.right_mpi = k.hi
"""  # noqa: S608 -- put together from parts of this module
"""``unchanged`` counts the pair's rejections that stand on what is known still; with one it does not come back."""

_CURRENT = """
    SELECT i.ord, a.mpi, b.mpi FROM unnest(%s::int[], %s::uuid[], %s::uuid[]) AS i (ord, l, r)
    JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = i.l LIMIT 1) a ON true
    JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = i.r LIMIT 1) b ON true
"""


async def open_many(
    connection: RawConnection, wanted: Sequence[NewReview], now: datetime, *, operator: str = "engine"
) -> list[str]:
    """Open a review for each pair and return its id, in order; empty for a pair that does not come back.

    That is one whose two ids mean one person, one of whom is cancelled, or that was rejected while nothing changed
    since. Of one pair at most one waits: a pair that waits already keeps its review. Each new one is a decision, too.
    """
    if not wanted:
        return []
    ids = [new_id("rev") for _ in wanted]
    orders = range(len(wanted))
    columns = (
        plain(orders),
        texts(ids),
        plain(each.left for each in wanted),
        plain(each.right for each in wanted),
        plain(each.kind for each in wanted),
        plain(each.weight for each in wanted),
        plain(each.probability for each in wanted),
        texts(evidence_json(each.evidence, each.guards) for each in wanted),
        plain(each.rule_version for each in wanted),
        plain(risk(each) for each in wanted),
        texts(each.because for each in wanted),
        texts(each.institution_id for each in wanted),
        _digests(each.digests[0] if each.digests else None for each in wanted),
        _digests(each.digests[1] if each.digests else None for each in wanted),
    )
    rows: Sequence[Any] = await (await connection.execute(_OPEN, (*columns, now, now, operator))).fetchall()
    found = {(low, high): (review_id, new) for low, high, review_id, new in rows}
    pairs: Sequence[Any] = await (await connection.execute(_CURRENT, columns[:1] + columns[2:4])).fetchall()
    reviews = {order: found.get((min(a, b), max(a, b)), ("", False)) for order, a, b in pairs}
    new = {review_id for review_id, fresh in found.values() if fresh}
    await decisions.write(
        connection,
        [_decision(each, operator) for own, each in zip(ids, wanted, strict=True) if own in new],
        now,
    )
    return [reviews.get(order, ("", False))[0] or "" for order in orders]


def _decision(each: NewReview, operator: str) -> NewDecision:
    return NewDecision(
        kind="review",
        method=each.method,
        left=each.left,
        right=each.right,
        operator=operator,
        weight=each.weight,
        probability=each.probability,
        evidence=each.evidence,
        guards=each.guards,
        rule_version=each.rule_version,
        reason=each.because,
    )


def _digests(values: Any) -> str:
    return "{" + ",".join("NULL" if value is None else octets([value])[1:-1] for value in values) + "}"


_CLOSE = text(
    """
    UPDATE empi_review r SET state = 'void', decided_at = :now, decided_by = :operator, decision_id = :decision_id
    FROM (SELECT q.review_id, a.mpi = b.mpi AS one,
                 row_number() OVER (PARTITION BY least(a.mpi, b.mpi), greatest(a.mpi, b.mpi)
                                    ORDER BY q.risk DESC, q.opened_at, q.review_id) AS place
          FROM empi_review q
          JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = q.left_mpi LIMIT 1) a
              ON true
          JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = q.right_mpi LIMIT 1) b
              ON true
          WHERE q.state IN ('open', 'asked', 'later') AND (q.left_mpi = ANY(:mpis) OR q.right_mpi = ANY(:mpis))) w
    WHERE r.review_id = w.review_id AND (w.one OR w.place > 1 OR :all) AND r.review_id <> :but
    RETURNING r.review_id
    """
)

_REOPEN = text(
    """
    UPDATE empi_review r SET state = 'open', decided_at = NULL, decided_by = NULL, decision_id = NULL
    WHERE r.state = 'void' AND r.decision_id = :decision_id
      AND NOT EXISTS (SELECT FROM empi_review w WHERE w.left_mpi = r.left_mpi AND w.right_mpi = r.right_mpi
                      AND w.state IN ('open', 'asked', 'later'))
      AND NOT EXISTS (SELECT FROM empi_rejected_pair p WHERE p.left_mpi = r.left_mpi AND p.right_mpi = r.right_mpi
                      AND p.lifted_at IS NULL)
      AND (SELECT count(DISTINCT coalesce(current_mpi, mpi)) FROM empi_person
           WHERE mpi IN (r.left_mpi, r.right_mpi)) = 2
    RETURNING r.review_id
    """
)
_STEPS = text(
    """
    INSERT INTO empi_review_step (review_id, at, operator_id, what)
    SELECT i, :now, :operator, :what FROM unnest(cast(:ids AS text[])) AS i
    """
)


async def close(
    connection: Connection,
    mpis: Collection[UUID],
    *,
    decision_id: str,
    operator: str,
    now: datetime,
    everything: bool = False,
    but: str = "",
) -> list[str]:
    """Make the reviews void whose question vanished for these ids: both sides are one person now, or it waits twice.

    ``everything``: whatever waits for them (they were cancelled). ``decision_id`` is what made them void.
    """
    done = await connection.execute(
        _CLOSE,
        {
            "mpis": list(mpis),
            "now": now,
            "operator": operator,
            "decision_id": decision_id,
            "all": everything,
            "but": but,
        },
    )
    closed = list(done.scalars())
    await step(connection, closed, "void", operator=operator, now=now)
    return closed


async def reopen(connection: Connection, decision_id: str, *, operator: str, now: datetime) -> list[str]:
    """Open the reviews again that a decision had made void and whose question is back; return their ids."""
    done = await connection.execute(_REOPEN, {"decision_id": decision_id})
    opened = list(done.scalars())
    await step(connection, opened, "undone", operator=operator, now=now)
    return opened


async def step(connection: Connection, ids: Sequence[str], what: str, *, operator: str, now: datetime) -> None:
    """Note a step of reviews."""
    if ids:
        await connection.execute(_STEPS, {"ids": list(ids), "what": what, "operator": operator, "now": now})
