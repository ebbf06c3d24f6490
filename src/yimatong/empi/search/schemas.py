"""Wire shapes of queries by any combination of facts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.registration.schemas import Stated


class PersonQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for; everything given must fit. ``name`` may hold ``*`` (any characters) and ``?`` (one).

    ``name_match``: ``exact``, ``pinyin`` (sounds alike), or ``part`` (wild cards). One fact at least must be selective.
    """

    name: Annotated[str, Meta(max_length=100, examples=["张*"])] = ""
    name_match: Literal["exact", "pinyin", "part"] = "exact"
    sex: Annotated[str, Meta(pattern="^[0129]?(?!\\n)$")] = ""
    identifiers: Annotated[tuple[SourceNumber, ...], Meta(max_length=10)] = ()
    id_type: Annotated[str, Meta(pattern="^([0-9]{2})?(?!\\n)$")] = ""
    id_number: Annotated[str, Meta(max_length=40)] = ""
    born_from: date | None = None
    born_to: date | None = None
    phone: Annotated[str, Meta(max_length=30, description="a whole number, or its last four digits")] = ""
    address: Annotated[str, Meta(max_length=200)] = ""
    region_code: Annotated[str, Meta(pattern="^([0-9]{2}|[0-9]{4}|[0-9]{6})?(?!\\n)$")] = ""
    mother_name: Annotated[str, Meta(max_length=100)] = ""
    include_cancelled: bool = False
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=200)] = ""


class PersonHit(msgspec.Struct, frozen=True, kw_only=True):
    """One person found, best first. Texts are masked unless the caller may see them whole."""

    mpi_ref: str
    name: str
    sex: str
    birth_date: date | None
    id_type: str
    id_number: str
    phone: str
    address: str
    region_code: str
    marital: str
    nation: str
    state: str
    deceased_on: date | None
    identifiers: tuple[SourceNumber, ...]
    rank: float


class PersonPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of hits; ``next_cursor`` is empty on the last one."""

    persons: tuple[PersonHit, ...]
    next_cursor: str
    total: int | None = None


Grade = Literal["certain", "probable", "possible", "certainly-not"]
"""match-grade of FHIR: what the active rules would do: link, ask a steward, or neither."""


class MatchCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A person whom the matching engine finds for given facts: probability, grade and the evidence by field."""

    person: PersonHit
    probability: float
    weight: float
    grade: Grade
    evidence: tuple[tuple[str, str, float], ...]


class PersonToMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts to find a person by, with the matching engine; numbers of domains count as they do in a registration."""

    resident: Stated
    identifiers: Annotated[tuple[SourceNumber, ...], Meta(max_length=10)] = ()
    only_certain: bool = False
    count: Annotated[int, Meta(ge=1, le=100)] = 20


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """Who the facts may be about, the likeliest first."""

    candidates: tuple[MatchCandidate, ...]


class FieldOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a field of the golden record comes from. ``own``: from the caller itself; others are not named.

    ``kind`` and ``level`` say what sort of statement it was and how it was proven (real-name level 1 to 3).
    """

    field: str
    own: bool
    kind: str
    level: int
    at: datetime


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """The golden record as the caller sees it. ``mpi_ref`` inside is that of the person of today."""

    person: PersonHit
    version: int
    origins: tuple[FieldOrigin, ...]


class PersonEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a person: a change, or a decision about who she is.

    ``what``: the kind; ``own``: made by the caller. Others are not named: where somebody was treated is her own matter.
    ``other_mpi_ref``: the other person of a merge, its undoing or a decision.
    """

    at: datetime
    source: Literal["change", "decision"]
    what: str
    own: bool
    other_mpi_ref: str
    domain: str
    version: int | None
    probability: float | None
    method: str


class PersonHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a person, the newest first."""

    mpi_ref: str
    events: tuple[PersonEvent, ...]
