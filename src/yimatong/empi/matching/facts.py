"""What is compared, and what a comparison says. Pure."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

Verdict = Literal["link", "review", "apart"]
"""``link``: one person without asking anybody; ``review``: a steward judges; ``apart``: two persons."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What one record says of a person, as its provider wrote it; empty text: not said.

    ``sex`` by GB/T 2261.1 (``0`` unknown, ``1`` male, ``2`` female, ``9`` not stated), ``id_type`` by WS 364.3.
    ``id_number`` may be wrong: a mistyped number is a fact about the record too.
    """

    name: str
    sex: str = "0"
    birth_date: date | None = None
    id_type: str = ""
    id_number: str = ""
    phone: str = ""
    address: str = ""


class FieldEvidence(msgspec.Struct, frozen=True):
    """How one comparison came out: its name, the level reached, and the weight in bits (log2 of m/u)."""

    comparison: str
    level: str
    weight: float


class Score(msgspec.Struct, frozen=True):
    """The sum of it: ``weight`` in bits with the prior, ``probability`` of being one person, and why.

    ``guards`` names the rules that forbid an automatic link whatever the weight (``two_valid_ids``, ``twins``, ...).
    """

    weight: float
    probability: float
    evidence: tuple[FieldEvidence, ...]
    guards: tuple[str, ...] = ()
