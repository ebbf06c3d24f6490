"""Shapes of rule sets: what they hold, how they stand, and what trying one showed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from yimatong.empi.golden.survivorship import Survivorship
from yimatong.empi.matching.scoring import Thresholds

State = Literal["draft", "proposed", "active", "retired"]
Change = Literal["merge", "review", "split", "drop"]
"""What would become of a pair: ``merge`` two persons now; ``review`` apart now, to stewards then; ``split`` one person
by an automatic merge that these rules would not make; ``drop`` waits for a steward and would not any more."""


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule set says: thresholds in bits of weight (with the prior), and which source wins for which field."""

    thresholds: Thresholds
    survivorship: Survivorship = Survivorship()


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """A stored rule set. ``model_version`` 0 is the model that is shipped; ``note`` says why it was drafted."""

    version: int
    model_version: int
    body: Body
    state: State
    note: str
    created_by: str
    created_at: datetime
    approval_id: str | None
    activated_at: datetime | None


class PairChange(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of persons whom the rules treat in another way: their ids (32 hex), the new weight, and the guards."""

    left: str
    right: str
    weight: float
    guards: tuple[str, ...] = ()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule set would change: how many pairs of each kind, and the first of them, the heaviest first.

    ``persons`` and ``pairs`` say how many were looked at.
    """

    persons: int
    pairs: int
    counts: dict[Change, int]
    samples: dict[Change, tuple[PairChange, ...]]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A rule set on its way over everybody: tried (``dry``) or applied (``apply``)."""

    run_id: str
    kind: Literal["dry", "apply"]
    rule_version: int
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    stage: str
    rows_done: int
    rows_total: int
    difference: Difference | None
    started_by: str
    started_at: datetime
    ended_at: datetime | None
