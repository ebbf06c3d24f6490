"""What the steward's desk reads: the queue's filters and rows, one review with its steps, what a merge would do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from yimatong.empi.persons.schemas import PersonRecord

KINDS: Final = ("certificate_conflict", "cluster_conflict", "probable", "facts_changed", "national")
STANDS: Final = ("waiting", "later", "asked", "merged", "rejected", "void")
"""What the queue can be filtered by: ``waiting`` is open, or put off until now."""

ORDERS: Final = ("risk", "age")
WAITING: Final = ("open", "asked", "later")
"""Where nobody has decided yet."""

UNDOABLE: Final = ("merged", "rejected", "later")
"""Steps that their operator may take back while they are the last one; a question was sent and cannot be."""

TAKEN_S: Final = 600
"""How long a review that somebody opened is hers alone."""

HIGH_RISK: Final = 80
MEDIUM_RISK: Final = 50


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of the queue; empty texts mean any."""

    kind: str = ""
    institution_id: str = ""
    stand: str = "waiting"
    order: Literal["risk", "age"] = "risk"


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """One review. ``evidence``: (comparison, level, weight in bits); guards stand among it as ``guard``."""

    review_id: str
    left_mpi: UUID
    right_mpi: UUID
    kind: str
    weight: float | None
    probability: float | None
    evidence: tuple[tuple[str, str, float], ...]
    rule_version: int | None
    risk: int
    state: str
    because: str
    institution_id: str | None
    opened_at: datetime
    due_at: datetime | None
    assignee: str | None
    taken_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    decision_id: str | None

    @property
    def guards(self) -> tuple[str, ...]:
        """Return the rules that forbade an automatic link."""
        return tuple(level for comparison, level, _ in self.evidence if comparison == "guard")

    @property
    def waits(self) -> bool:
        """Say whether nobody has decided yet."""
        return self.state in WAITING


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the queue: the review and both persons, whose texts mask themselves."""

    review: Review
    left: PersonRecord | None
    right: PersonRecord | None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a review; ``reviews.service.read_note`` opens its note."""

    id: int
    at: datetime
    operator_id: str
    what: str
    note_sealed: bytes | None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits: by kind, and put off or asked; ``high``: of risk 80 and more; ``oldest``: opened then."""

    by_kind: Mapping[str, int]
    later: int
    asked: int
    high: int
    oldest: datetime | None

    @property
    def waiting(self) -> int:
        """Return how many wait for a steward now."""
        return sum(self.by_kind.values())


class Between(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge of two persons would do today: who survives, and what stands against it (``merges.rules``).

    ``same``: both ids mean one person already.
    """

    survivor_mpi: UUID
    retired_mpi: UUID
    conflicts: tuple[str, ...]
    never: bool
    same: bool
