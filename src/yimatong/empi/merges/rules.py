"""The cluster check, pure: may two groups of ids become one person?

Whatever the score of one pair says, a merge joins everything that stands behind both sides. So the question is asked of
the groups: does one hold a valid certificate and the other a different one of the same type, was any pair across them
rejected, was one of them cancelled? A chain A = B = C can make twins one person only past this check.

15 and 18 digits of a resident identity number give the same blind and count as one certificate (GB 11643-1999).
A certificate that was replaced does not count, nor does the number of the domain index that stands in for one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from yimatong.standards.codes import NO_CERTIFICATE

Conflict = Literal["two_certificates", "rejected_pair", "twins", "cancelled", "one_deceased"]

CONFLICTS: Final[dict[Conflict, tuple[str, str]]] = {
    "two_certificates": ("同类型有效证件号码不同", "two valid certificates of the same type"),
    "rejected_pair": ("曾判定不是同一人", "judged not to be the same before"),
    "twins": ("曾判定为双胞胎", "judged to be twins before"),
    "cancelled": ("其中一人已注销", "one of them is cancelled"),
    "one_deceased": ("其中一人已登记死亡", "one of them was reported dead"),
}
"""What stands against a merge, in words."""

NEVER: Final[frozenset[Conflict]] = frozenset({"cancelled"})
"""What not even a steward may pass over: a cancelled person is restored first."""

TWINS: Final = "twins"
"""The reason of a rejection that says: these two are twins (or siblings born together)."""


class Group(NamedTuple):
    """One person as the index knows her today: every id that means her, and what decides about a merge.

    ``certificates``: the valid ones, as (type, blind).
    """

    mpi: UUID
    members: frozenset[UUID]
    certificates: frozenset[tuple[str, bytes]]
    created_at: datetime
    cancelled: bool = False
    deceased: bool = False


class Rejection(NamedTuple):
    """A pair that a steward judged not to be one person; ``reason`` may be ``TWINS``."""

    left: UUID
    right: UUID
    reason: str = ""


def conflicts(left: Group, right: Group, rejections: Iterable[Rejection] = ()) -> tuple[Conflict, ...]:
    """Return everything that stands against making the two groups one, the gravest first."""
    found: list[Conflict] = []
    if left.cancelled or right.cancelled:
        found.append("cancelled")
    if _types(left) & _types(right):
        found.append("two_certificates")
    reasons = [each.reason for each in rejections if across(left, right, each)]
    if TWINS in reasons:
        found.append("twins")
    if any(reason != TWINS for reason in reasons):
        found.append("rejected_pair")
    if left.deceased != right.deceased:
        found.append("one_deceased")
    return tuple(found)


def conflict(left: Group, right: Group, rejections: Iterable[Rejection] = ()) -> Conflict | None:
    """Return the gravest conflict, or None when the two may become one person."""
    return next(iter(conflicts(left, right, rejections)), None)


def across(left: Group, right: Group, rejection: Rejection) -> bool:
    """Say whether a rejected pair has one foot in each group."""
    pair = {rejection.left, rejection.right}
    return bool(pair & left.members) and bool(pair & right.members)


def in_order(left: Group, right: Group) -> tuple[Group, Group]:
    """Return (survivor, retired): who has a valid certificate survives, then who was entered first."""
    first, second = sorted((left, right), key=_standing)
    return first, second


def _standing(group: Group) -> tuple[bool, datetime, UUID]:
    return not group.certificates, group.created_at, group.mpi


def _types(group: Group) -> set[str]:
    return {id_type for id_type, _ in group.certificates if id_type != NO_CERTIFICATE}
