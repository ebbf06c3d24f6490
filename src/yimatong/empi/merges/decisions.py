"""Every decision about who is who, written where it is made: what it stood on, which rules, whose it was.

A decision is never changed (the table refuses it): years later it still explains a link. ``evidence`` names
comparisons, levels and weights in bits, never values, so that it may be read without opening anybody's record.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from yimatong.empi.matching.facts import FieldEvidence, Score
from yimatong.kit.arrays import plain, texts
from yimatong.kit.db import RawConnection
from yimatong.kit.ids import new_id

Kind = Literal["link", "merge", "unmerge", "reject", "review", "cancel", "restore", "relink"]
Method = Literal["certificate", "probability", "steward", "provider", "national"]

_WRITE = """
    INSERT INTO empi_decision (decision_id, at, kind, method, left_mpi, right_mpi, contribution_id, weight,
                               probability, evidence, rule_version, operator, reason)
    SELECT d, %s::timestamptz, k, h, l, r, c, w, p, e::jsonb, v, o, n
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::float8[], %s::float8[],
                %s::text[], %s::int[], %s::text[], %s::text[]) AS i (d, k, h, l, r, c, w, p, e, v, o, n)
"""


class NewDecision(NamedTuple):
    """One decision. ``left``: the person it is about, ``right``: the other one, if any.

    ``operator``: who made it: an operator's id, a caller's id, or ``engine``. ``reason`` holds no personal data.
    """

    kind: Kind
    method: Method
    left: UUID
    operator: str
    right: UUID | None = None
    contribution_id: str | None = None
    weight: float | None = None
    probability: float | None = None
    evidence: tuple[FieldEvidence, ...] = ()
    guards: tuple[str, ...] = ()
    rule_version: int | None = None
    reason: str = ""

    def scored(self, score: Score, *, rule_version: int | None) -> NewDecision:
        """Return this decision standing on a score of these rules."""
        return self._replace(
            weight=score.weight,
            probability=score.probability,
            evidence=score.evidence,
            guards=score.guards,
            rule_version=rule_version,
        )


async def write(connection: RawConnection, decisions: Sequence[NewDecision], now: datetime) -> list[str]:
    """Write decisions in the open transaction and return their ids, in order."""
    if not decisions:
        return []
    ids = [new_id("dec") for _ in decisions]
    columns = (
        texts(ids),
        plain(each.kind for each in decisions),
        plain(each.method for each in decisions),
        plain(each.left for each in decisions),
        plain(each.right for each in decisions),
        texts(each.contribution_id for each in decisions),
        plain(each.weight for each in decisions),
        plain(each.probability for each in decisions),
        texts(evidence_json(each.evidence, each.guards) for each in decisions),
        plain(each.rule_version for each in decisions),
        texts(each.operator for each in decisions),
        texts(each.reason for each in decisions),
    )
    await connection.execute(_WRITE, (now, *columns))
    return ids


def evidence_json(evidence: Sequence[FieldEvidence], guards: Sequence[str] = ()) -> str:
    """Return evidence as the tables keep it: objects of ``comparison``, ``level`` and ``weight`` (bits).

    A guard that forbade an automatic link stands among them as the comparison ``guard`` with no weight.
    """
    listed = [*evidence, *(FieldEvidence("guard", name, 0.0) for name in guards)]
    return msgspec.json.encode([msgspec.to_builtins(each) for each in listed]).decode()


def evidence_read(stored: object) -> tuple[tuple[str, str, float], ...]:
    """Return stored evidence as (comparison, level, weight in bits)."""
    lines = stored if isinstance(stored, list) else []
    return tuple(
        (str(line.get("comparison", "")), str(line.get("level", "")), float(line.get("weight") or 0.0))
        for line in lines
        if isinstance(line, dict)
    )
