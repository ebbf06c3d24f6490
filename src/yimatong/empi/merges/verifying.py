"""Prove that the index keeps its promises, over a whole database, and mend what follows from something else.

``KINDS`` lists the promises. What a pointer, a golden record or a review should be follows from merges, contributions
and cancellations, so it can be made again; two people who claim one number, or a rejected pair in one group, is for a
person to judge.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import text

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.survivorship import Survivorship, survive
from yimatong.empi.linkage import engine
from yimatong.empi.merges import pointers
from yimatong.empi.merges.remaking import remake
from yimatong.kit.arrays import plain
from yimatong.kit.db import Connection, RawConnection, raw
from yimatong.standards.codes import NO_CERTIFICATE

KINDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "pointer": ("索引指向与合并记录不一致", "a pointer is not what the merges say"),
        "golden": ("主记录与来源信息不一致", "a golden record is not what was said"),
        "review": ("待核实事项已无意义", "a review waits for nothing, or twice"),
        "ended": ("已注销居民仍有交叉索引", "a cancelled person still has numbers"),
        "source": ("一条来源记录属于两人", "one source record says two things or stands under two ids"),
        "number": ("一个号码属于两人", "one number has two active persons"),
        "certificates": ("一人有两个同类有效证件", "two valid certificates of a type without a steward"),
        "rejected": ("已判定不同的两人被合并", "a rejected pair became one person"),
        "orphan": ("记录没有对应居民", "a row belongs to nobody"),
        "unexplained": ("没有留下判定依据", "a merge, rejection or cancellation without its decision"),
        "cancellation": ("注销状态与注销记录不一致", "a cancelled person without a cancellation, or the reverse"),
        "index": ("缺少保证唯一性的索引", "an index that the promises stand on is missing"),
    }
)
"""What can be broken: Chinese, English."""

MENDED: Final = ("pointer", "golden", "review", "ended")
BATCH: Final = 500


class Finding(NamedTuple):
    """One broken promise; ``key`` is an id or a name, never a number or a name of a person."""

    kind: str
    key: str


_WAY = """
    WITH RECURSIVE way (mpi, root) AS (
        SELECT retired_mpi, survivor_mpi FROM empi_merge WHERE undone_at IS NULL
        UNION SELECT w.mpi, m.survivor_mpi FROM way w JOIN empi_merge m ON m.retired_mpi = w.root
                                           AND m.undone_at IS NULL),
    root AS (SELECT w.mpi, w.root FROM way w
             WHERE NOT EXISTS (SELECT FROM empi_merge m WHERE m.retired_mpi = w.root AND m.undone_at IS NULL))
"""
_NOW = "(SELECT coalesce(current_mpi, mpi) FROM empi_person WHERE mpi = {0})"
_LEFT, _RIGHT = _NOW.format("r.left_mpi"), _NOW.format("r.right_mpi")

_WAITING = f"""
    SELECT r.review_id, least({_LEFT}, {_RIGHT}) AS low, greatest({_LEFT}, {_RIGHT}) AS high, r.risk, r.opened_at
    FROM empi_review r WHERE r.state IN ('open', 'asked', 'later')
"""  # noqa: S608 -- put together from parts of this module

CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pointer": f"""
            {_WAY} SELECT p.mpi::text FROM empi_person p LEFT JOIN root ON root.mpi = p.mpi
            WHERE p.current_mpi IS DISTINCT FROM root.root OR (p.state = 'retired') <> (root.root IS NOT NULL)
            UNION SELECT p.mpi::text FROM empi_person p LEFT JOIN empi_person q ON q.mpi = p.current_mpi
            WHERE p.current_mpi IS NOT NULL AND (q.mpi IS NULL OR q.current_mpi IS NOT NULL)
        """,  # noqa: S608 -- parts of this module
        "review": f"""
            SELECT w.review_id FROM ({_WAITING}) w JOIN empi_person p ON p.mpi IN (w.low, w.high)
            WHERE w.low = w.high OR p.state = 'cancelled'
            UNION SELECT review_id FROM (SELECT w.review_id, row_number() OVER (PARTITION BY low, high
                ORDER BY risk DESC, opened_at, review_id) AS place FROM ({_WAITING}) w) t WHERE place > 1
        """,  # noqa: S608 -- parts of this module
        "ended": """
            SELECT i.relation_id FROM empi_identifier i JOIN empi_person o ON o.mpi = i.mpi
            JOIN empi_person p ON p.mpi = coalesce(o.current_mpi, o.mpi)
            WHERE i.state = 'active' AND p.state = 'cancelled'
        """,
        "source": """
            SELECT domain || ' ' || min(contribution_id) FROM empi_contribution WHERE source_blind IS NOT NULL
            GROUP BY domain, source_blind HAVING count(DISTINCT mpi) > 1 OR count(*) FILTER (WHERE current) > 1
        """,
        "number": """
            SELECT min(relation_id) FROM empi_identifier WHERE state = 'active'
            GROUP BY domain, number_blind HAVING count(*) > 1
        """,
        "certificates": f"""
            SELECT t.mpi::text FROM (
                SELECT DISTINCT coalesce(p.current_mpi, p.mpi) AS mpi
                FROM empi_certificate c JOIN empi_person p ON p.mpi = c.mpi
                WHERE c.replaced_at IS NULL AND c.id_type <> '{NO_CERTIFICATE}'
                GROUP BY coalesce(p.current_mpi, p.mpi), c.id_type HAVING count(DISTINCT p.mpi) > 1) t
            WHERE NOT EXISTS (
                SELECT FROM empi_merge m JOIN empi_person g ON g.mpi = m.retired_mpi
                JOIN empi_decision d ON d.decision_id = m.decision_id
                WHERE m.undone_at IS NULL AND d.method = 'steward' AND g.current_mpi = t.mpi)
        """,  # noqa: S608 -- parts of this module
        "rejected": f"""
            SELECT r.left_mpi || ' ' || r.right_mpi FROM empi_rejected_pair r
            WHERE r.lifted_at IS NULL AND {_LEFT} = {_RIGHT}
        """,  # noqa: S608 -- parts of this module
        "orphan": """
            SELECT t.name || ' ' || t.mpi FROM (
                SELECT 'certificate' AS name, mpi FROM empi_certificate
                UNION SELECT 'contribution', mpi FROM empi_contribution
                UNION SELECT 'identifier', mpi FROM empi_identifier) t
            WHERE NOT EXISTS (SELECT FROM empi_person p WHERE p.mpi = t.mpi)
        """,
        "unexplained": """
            SELECT t.id FROM (
                SELECT merge_id AS id, decision_id FROM empi_merge
                UNION ALL SELECT merge_id, undo_decision_id FROM empi_merge WHERE undone_at IS NOT NULL
                UNION ALL SELECT cancellation_id, decision_id FROM empi_cancellation
                UNION ALL SELECT left_mpi || ' ' || right_mpi, decision_id FROM empi_rejected_pair) t
            WHERE NOT EXISTS (SELECT FROM empi_decision d WHERE d.decision_id = t.decision_id)
        """,
        "cancellation": """
            SELECT p.mpi::text FROM empi_person p WHERE p.state = 'cancelled' AND NOT EXISTS (
                SELECT FROM empi_cancellation c WHERE c.mpi = p.mpi AND c.extent = 'person' AND c.undone_at IS NULL)
            UNION SELECT c.mpi::text FROM empi_cancellation c JOIN empi_person p ON p.mpi = c.mpi
            WHERE c.extent = 'person' AND c.undone_at IS NULL AND p.state <> 'cancelled'
        """,
        "index": """
            SELECT name FROM unnest(ARRAY['uq_empi_merge_retired', 'uq_empi_contribution_source',
                'uq_empi_identifier_active', 'uq_empi_review_waiting', 'pk_empi_certificate',
                'uq_empi_cancellation_person']) AS name
            WHERE NOT EXISTS (SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
                              WHERE c.relname = name AND x.indisunique AND x.indisvalid)
        """,
    }
)
"""One statement a promise; each row is the key of one that is broken."""


async def look(connection: Connection) -> list[Finding]:
    """Return what is broken, all but the golden records."""
    found: list[Finding] = []
    for kind, query in CHECKS.items():
        rows = await connection.execute(text(query))
        found += [Finding(kind, str(key)) for key in rows.scalars()]
    return found


_PERSONS: Final = text(
    "SELECT mpi FROM empi_person WHERE current_mpi IS NULL AND mpi > :after ORDER BY mpi LIMIT :most"
)


async def look_at_golden(
    connection: Connection, *, sealer: Sealer, blinder: Blinder
) -> AsyncIterator[tuple[int, list[Finding]]]:
    """Walk everybody and yield, batch by batch, how many were seen and whose golden record is not what was said."""
    after = UUID(int=0)
    inside = await raw(connection)
    rules = (await engine.active(inside)).survivorship
    while True:
        mpis = list((await connection.execute(_PERSONS, {"after": after, "most": BATCH})).scalars())
        if not mpis:
            return
        after = mpis[-1]
        yield len(mpis), await _differing(inside, mpis, sealer=sealer, blinder=blinder, rules=rules)


_HELD: Final = """
    SELECT mpi, sealed, search_tokens, sex, birth_date, region_code, marital, state, version, deceased_on
    FROM empi_person WHERE mpi = ANY(%s::uuid[])
"""


async def _differing(
    connection: RawConnection,
    mpis: Sequence[UUID],
    *,
    sealer: Sealer,
    blinder: Blinder,
    rules: Survivorship,
) -> list[Finding]:
    rows: Sequence[Any] = await (await connection.execute(_HELD, (plain(mpis),))).fetchall()
    held = {row[0]: golden.Held(*row[1:]) for row in rows}
    said = await golden.contributions(connection, mpis, sealer=sealer)
    found: list[Finding] = []
    for mpi, all_of_her in zip(mpis, said, strict=True):
        if not all_of_her:
            continue
        made = survive([each.statement for each in all_of_her], rules)
        if not golden.is_as(made, mpi, held[mpi], sealer=sealer, blinder=blinder):
            found.append(Finding("golden", str(mpi)))
    return found


_POINT = text(
    f"""
    {_WAY} UPDATE empi_person p
    SET current_mpi = w.root, state = CASE WHEN w.root IS NOT NULL THEN 'retired' WHEN p.cancelled_at IS NOT NULL
                                           THEN 'cancelled' ELSE 'live' END,
        compared_at = NULL, version = p.version + 1, changed_at = :now
    FROM (SELECT q.mpi, root.root FROM empi_person q LEFT JOIN root ON root.mpi = q.mpi WHERE q.mpi = ANY(:mpis)) w
    WHERE p.mpi = w.mpi
    RETURNING coalesce(p.current_mpi, p.mpi)
    """  # noqa: S608 -- put together from parts of this module
)
_END = text(
    """
    UPDATE empi_identifier SET state = 'ended', ended_at = :now, ended_reason = 'person_cancelled'
    WHERE relation_id = ANY(:ids) AND state = 'active'
    """
)
_VOID = text(
    """
    UPDATE empi_review SET state = 'void', decided_at = :now, decided_by = 'verify'
    WHERE review_id = ANY(:ids) AND state IN ('open', 'asked', 'later')
    """
)


async def mend(
    connection: Connection,
    found: Sequence[Finding],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    """Make again what follows from something else; the rest is left for a person."""
    keys = {kind: [each.key for each in found if each.kind == kind] for kind in MENDED}
    await pointers.hold(connection)
    moved: set[UUID] = {UUID(key) for key in keys["golden"]}
    if keys["pointer"]:
        mpis = [UUID(key) for key in keys["pointer"]]
        moved |= set((await connection.execute(_POINT, {"mpis": mpis, "now": now})).scalars())
    if keys["ended"]:
        await connection.execute(_END, {"ids": keys["ended"], "now": now})
    if keys["review"]:
        await connection.execute(_VOID, {"ids": keys["review"], "now": now})
    await remake(await raw(connection), sorted(moved), sealer=sealer, blinder=blinder, now=now)
