"""Which statement wins for which field: the golden record is a pure function of what the providers said.

Every field has its own order of criteria. A criterion ranks statements; the first one that tells two apart decides, and
of equal ones the one that was written last wins, so that the result never depends on the order of reading. What a
statement does not say cannot win, save for a correction: it restates the whole record, so that an empty text in it
clears the field. The certificate's type and number are one field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Final, Literal

import msgspec

from yimatong.standards.codes import NO_CERTIFICATE

PROVEN: Final = 2
"""From this real-name level on an outside party or a certificate reader stands behind a statement."""

Criterion = Literal["correction", "identifies", "exact", "level", "proven", "registered", "trust", "newest", "oldest"]
"""``correction`` the newest proven correction; ``identifies`` a certificate before a number of the domain index;
``exact`` a birth date that is no estimate; ``level`` the stronger real-name proof; ``proven`` level 2 and above before
the rest; ``registered`` what residents registered before what feeds say; ``trust`` the provider's own; ``newest`` and
``oldest`` by the moment of the statement.
"""

_IDENTITY: Final[tuple[Criterion, ...]] = ("correction", "level", "trust", "registered", "newest")
DEFAULT: Final[Mapping[str, tuple[Criterion, ...]]] = {
    "name": _IDENTITY,
    "sex": _IDENTITY,
    "birth_date": ("correction", "exact", "level", "trust", "registered", "newest"),
    "certificate": ("identifies", "correction", "level", "trust", "registered", "newest"),
    "phone": ("proven", "registered", "trust", "newest"),
    "address": ("trust", "newest"),
    "nation": ("trust", "newest"),
    "marital": ("trust", "newest"),
    "occupation": ("trust", "newest"),
    "mother_name": ("level", "trust", "newest"),
}
"""The order of criteria by field. A later phone that nobody proved does not overwrite a proven one."""


class Survivorship(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules as a rule set keeps them: other orders for some fields, and trust by provider (0 for all others)."""

    fields: Mapping[str, tuple[Criterion, ...]] = {}
    trust: Mapping[str, int] = {}

    def order(self, field: str) -> tuple[Criterion, ...]:
        """Return the criteria of a field."""
        return tuple(self.fields.get(field, DEFAULT[field]))


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One contribution, opened. Texts are empty where nothing was said; ``sex`` by GB/T 2261.1.

    A number that breaks its certificate's rules is not among them: it identifies nobody.
    """

    contribution_id: str
    provider: str
    kind: str
    level: int
    at: datetime
    name: str
    sex: str = "0"
    birth_date: date | None = None
    estimated: bool = False
    id_type: str = ""
    id_number: str = ""
    phone: str = ""
    address: str = ""
    nation: str = ""
    marital: str = ""
    occupation: str = ""
    mother_name: str = ""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who said what stands in a field of the golden record, when, and how strongly it was proven."""

    contribution_id: str
    provider: str
    kind: str
    level: int
    at: datetime


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """The golden record of a group, and for each field that somebody said, who."""

    name: str
    sex: str
    birth_date: date | None
    estimated: bool
    id_type: str
    id_number: str
    phone: str
    address: str
    nation: str
    marital: str
    occupation: str
    mother_name: str
    origins: Mapping[str, Origin]


_CLEARED_BY_CORRECTION: Final = frozenset({"phone", "address", "nation", "marital", "occupation"})
_SAID_SEX: Final = {"1": 2, "2": 2, "9": 1}
_NO_TIME: Final = float("-inf")

_Rank = Callable[[Statement, Survivorship], float]
_RANKS: Final[Mapping[str, _Rank]] = {
    "correction": lambda each, _: each.at.timestamp() if _corrects(each) else _NO_TIME,
    "identifies": lambda each, _: each.id_type != NO_CERTIFICATE,
    "exact": lambda each, _: not each.estimated,
    "level": lambda each, _: each.level,
    "proven": lambda each, _: each.level >= PROVEN,
    "registered": lambda each, _: each.kind in ("registration", "correction"),
    "trust": lambda each, rules: rules.trust.get(each.provider, 0),
    "newest": lambda each, _: each.at.timestamp(),
    "oldest": lambda each, _: -each.at.timestamp(),
}


def survive(statements: Sequence[Statement], rules: Survivorship | None = None) -> Golden:
    """Return the golden record of one person from what was said of her (at least one statement), in any order."""
    rules = rules or Survivorship()
    won = {field: _winner(field, statements, rules) for field in DEFAULT}

    def text(field: str) -> str:
        winner = won[field]
        return "" if winner is None else str(getattr(winner, field))

    sex, born, certificate = won["sex"], won["birth_date"], won["certificate"]
    return Golden(
        name=text("name"),
        sex="0" if sex is None else sex.sex,
        birth_date=None if born is None else born.birth_date,
        estimated=born is not None and born.estimated,
        id_type="" if certificate is None else certificate.id_type,
        id_number="" if certificate is None else certificate.id_number,
        phone=text("phone"),
        address=text("address"),
        nation=text("nation"),
        marital=text("marital"),
        occupation=text("occupation"),
        mother_name=text("mother_name"),
        origins={field: _origin(winner) for field, winner in won.items() if winner is not None},
    )


def _winner(field: str, statements: Sequence[Statement], rules: Survivorship) -> Statement | None:
    if len(statements) == 1:
        return statements[0] if _says(field, statements[0]) else None
    saying = [each for each in statements if _says(field, each)]
    order = rules.order(field)
    return max(
        saying,
        key=lambda each: (
            _fullness(field, each),
            *(_RANKS[criterion](each, rules) for criterion in order),
            each.at.timestamp(),
            each.contribution_id,
        ),
        default=None,
    )


def _says(field: str, each: Statement) -> bool:
    if field == "sex":
        return each.sex in _SAID_SEX
    if field == "birth_date":
        return each.birth_date is not None
    if field == "certificate":
        return bool(each.id_number)
    return bool(getattr(each, field)) or (each.kind == "correction" and field in _CLEARED_BY_CORRECTION)


def _fullness(field: str, each: Statement) -> int:
    """Rank a sex that is known before one that was expressly not stated."""
    return _SAID_SEX[each.sex] if field == "sex" else 0


def _corrects(each: Statement) -> bool:
    return each.kind == "correction" and each.level >= PROVEN


def _origin(winner: Statement) -> Origin:
    return Origin(
        contribution_id=winner.contribution_id,
        provider=winner.provider,
        kind=winner.kind,
        level=winner.level,
        at=winner.at,
    )
