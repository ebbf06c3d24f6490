"""Wire shapes of queries by any combination of facts."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.empi.registration.schemas import SourceNumber


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


class MatchCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A person whom the matching engine finds for given facts: probability, grade and the evidence by field."""

    person: PersonHit
    probability: float
    weight: float
    grade: Literal["certain", "probable", "possible", "certainly-not"]
    evidence: tuple[tuple[str, str, float], ...]
