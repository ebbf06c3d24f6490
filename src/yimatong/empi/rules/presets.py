"""Orders of criteria that a person may choose from for a field of the golden record, instead of writing her own. Pure.

Each puts one criterion first and keeps the rest of the default as it is. What must never give way stays ahead of it: a
proven correction, a certificate before a number of the domain index, a birth date that is no estimate.
"""

from __future__ import annotations

from typing import Final, get_args

from yimatong.empi.golden.survivorship import DEFAULT, Criterion

AHEAD: Final[frozenset[Criterion]] = frozenset({"correction", "identifies", "exact"})
DEFAULT_NAME: Final = "default"
FIRST: Final[dict[str, Criterion]] = {
    "proof": "level",
    "trust": "trust",
    "residents": "registered",
    "newest": "newest",
    "oldest": "oldest",
}
"""Name of the choice, and the criterion that it puts first."""

FIELDS: Final = tuple(DEFAULT)
CRITERIA: Final[tuple[Criterion, ...]] = get_args(Criterion)
TRUST_MAX: Final = 100


def orders(field: str) -> dict[str, tuple[Criterion, ...]]:
    """Return the choices for a field, the default first; of two names for one order only the first."""
    default = DEFAULT[field]
    found: dict[str, tuple[Criterion, ...]] = {DEFAULT_NAME: default}
    ahead = tuple(each for each in default if each in AHEAD)
    rest = tuple(each for each in default if each not in AHEAD)
    for name, first in FIRST.items():
        others = () if first in {"newest", "oldest"} else tuple(each for each in rest if each != first)
        order = (*ahead, first, *others)
        if order not in found.values():
            found[name] = order
    return found


def name_of(field: str, order: tuple[Criterion, ...]) -> str:
    """Return the name of an order, empty for one that is none of the choices."""
    return next((name for name, each in orders(field).items() if each == order), "")
