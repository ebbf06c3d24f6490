"""Shapes of a dossier: a person, unsealed, with every statement that her record stands on."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit.masking import Address, IdNumber, Personal, PersonName, Phone

FIELDS: Final = (
    "name",
    "sex",
    "birth_date",
    "id_type",
    "id_number",
    "said_number",
    "phone",
    "address",
    "nation",
    "marital",
    "occupation",
    "mother_name",
)
"""What a steward compares, in the order in which it is shown; ``said_number`` broke its certificate's rules."""

TYPES: Final[dict[str, type[Personal]]] = {
    "name": PersonName,
    "id_number": IdNumber,
    "said_number": IdNumber,
    "phone": Phone,
    "address": Address,
    "mother_name": PersonName,
}
"""Fields whose texts mask themselves wherever they are printed."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider said once, by field (``FIELDS``); a field that was not said is missing.

    ``own_mpi``: the id it was entered for. ``current``: it stands today; the others were replaced by a newer statement
    of the same source record.
    """

    own_mpi: UUID
    contribution_id: str
    provider: str
    kind: str
    domain: str | None
    current: bool
    facts: SealedFacts
    values: dict[str, str]
    proof: str
    level: int
    at: datetime


class FieldValue(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the golden record: its value, the statement it came from, and how many said something else."""

    name: str
    value: str
    source: Statement | None
    others: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A person of today, or one side of a pair that was merged meanwhile (``members`` are the ids of that side)."""

    mpi: UUID
    members: tuple[UUID, ...]
    state: str
    version: int
    fields: tuple[FieldValue, ...]
    statements: tuple[Statement, ...]
    created_at: datetime
    changed_at: datetime
    cancelled_at: datetime | None
    cancel_reason: str | None
    deceased_on: date | None

    def value(self, name: str) -> str:
        """Return the golden value of a field, empty where nothing is known."""
        return next((each.value for each in self.fields if each.name == name), "")


class ChangeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the change log."""

    mpi: UUID
    kind: str
    other_mpi: UUID | None
    domain: str | None
    provider: str
    version: int
    at: datetime


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about who is who. ``evidence``: (comparison, level, weight in bits)."""

    decision_id: str
    at: datetime
    kind: str
    method: str
    left_mpi: UUID
    right_mpi: UUID | None
    weight: float | None
    probability: float | None
    evidence: tuple[tuple[str, str, float], ...]
    rule_version: int | None
    operator: str
    reason: str


class MergeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One merge that a person's record stands on; ``undone_at`` is empty while it holds."""

    merge_id: str
    retired_mpi: UUID
    survivor_mpi: UUID
    moved: tuple[UUID, ...]
    at: datetime
    decision_id: str
    undone_at: datetime | None


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed certificate: its type and whether it was replaced. Its number stands in the statements."""

    id_type: str
    own_mpi: UUID
    claimed_at: datetime
    replaced_at: datetime | None


def field_text(name: str, text: str) -> str:
    """Return a field's text in the type that masks it."""
    kind = TYPES.get(name)
    return text if kind is None or not text else kind(text)


def whole(text: str) -> str:
    """Return personal data unmasked: for comparing, and for those who may see it."""
    return str.__str__(text)
