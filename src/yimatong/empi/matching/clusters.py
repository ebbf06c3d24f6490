"""Who is one person once all pairs are judged: links in order of weight, none against what is certain. Pure.

Plain connected components make a chain of good links one person, even where its ends are known to be two. Here a link
is refused, and becomes a conflict for a steward, when it would put two different certificates of one type, or a pair
that must stay apart (rejected by a steward, or guarded), into one group. So is one whose end has a *rival*: a heavier
pair, waiting for a steward, with somebody who cannot be of that group. Links come heaviest first, ties by record
number: the same input gives the same groups. Near-linear: union-find, the smaller set moved into the larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Link = tuple[int, int, float]
"""Two records and the weight of their pair, in bits."""


Refusal = Literal["certificates", "apart", "rival"]


class Conflict(msgspec.Struct, frozen=True):
    """A link that was refused: its ends, its weight, and what stands against it."""

    left: int
    right: int
    weight: float
    reason: Refusal


class Clusters(msgspec.Struct, frozen=True):
    """``group`` names for each record that was linked the smallest record of its group; others stand alone."""

    group: dict[int, int]
    conflicts: list[Conflict]


def cluster(
    links: Iterable[Link],
    *,
    certificates: Mapping[int, tuple[str, ...]] | None = None,
    apart: Iterable[tuple[int, int]] = (),
    rivals: Iterable[Link] = (),
) -> Clusters:
    """Return the groups that the links make under the constraints.

    Args:
        links: pairs judged to be one person, in any order.
        certificates: of a record, its valid certificates as ``type:number``; a resident identity number in 18 digits.
        apart: pairs that must not come into one group, by whatever chain.
        rivals: pairs as heavy as links that only a steward may link. Where one is heavier than a link of one of its
            ends, and its other end cannot be of the group that this link leads to, the link is refused: the heavier
            evidence says that the record is another person's.
    """
    groups = _Groups(certificates or {}, apart)
    conflicts = []
    waiting = sorted(rivals, key=lambda each: each[2])
    for left, right, weight in sorted(links, key=_heaviest_first):
        while waiting and waiting[-1][2] > weight:
            groups.note_rivals(*waiting.pop()[:2])
        reason = groups.join(left, right)
        if reason is not None:
            conflicts.append(Conflict(min(left, right), max(left, right), weight, reason))
    return Clusters(groups.named(), conflicts)


def _heaviest_first(link: Link) -> tuple[float, int, int]:
    left, right, weight = link
    return (-weight, left, right) if left < right else (-weight, right, left)


class _Groups:
    def __init__(self, certificates: Mapping[int, tuple[str, ...]], apart: Iterable[tuple[int, int]]) -> None:
        self._parent: dict[int, int] = {}
        self._size: dict[int, int] = {}
        self._given = certificates
        self._certificates: dict[int, dict[str, str]] = {}
        self._apart: dict[int, set[int]] = {}
        """Of a root, the roots whose groups it must not join; kept on both sides."""
        self._rivals: dict[int, list[int]] = {}
        """Of a root, the records that a heavier pair, not linked, leads to."""
        for left, right in apart:
            if left != right:
                self._apart.setdefault(left, set()).add(right)
                self._apart.setdefault(right, set()).add(left)

    def _root(self, record: int) -> int:
        parent = self._parent
        root = parent.setdefault(record, record)
        while parent[root] != root:
            parent[root] = parent[parent[root]]
            root = parent[root]
        if parent[record] != root:
            parent[record] = root
        return root

    def note_rivals(self, left: int, right: int) -> None:
        self._rivals.setdefault(self._root(left), []).append(right)
        self._rivals.setdefault(self._root(right), []).append(left)

    def _has_rival(self, root: int, other: int) -> bool:
        """Say that a rival of one group can be no member of the other."""
        for record in self._rivals.get(root, ()):
            rival = self._root(record)
            if rival not in {root, other} and (
                rival in self._apart.get(other, ()) or _differ(self._held(rival), self._held(other))
            ):
                return True
        return False

    def join(self, left: int, right: int) -> Refusal | None:
        big, small = self._root(left), self._root(right)
        if big == small:
            return None
        if small in self._apart.get(big, ()):
            return "apart"
        if self._size.get(big, 1) < self._size.get(small, 1):
            big, small = small, big
        ours, theirs = self._held(big), self._held(small)
        if _differ(ours, theirs):
            return "certificates"
        if self._rivals and (self._has_rival(big, small) or self._has_rival(small, big)):
            return "rival"
        self._parent[small] = big
        self._size[big] = self._size.get(big, 1) + self._size.pop(small, 1)
        if theirs:
            self._certificates[big] = {**ours, **theirs} if ours else theirs
        self._certificates.pop(small, None)
        if small in self._rivals:
            self._rivals.setdefault(big, []).extend(self._rivals.pop(small))
        self._inherit(big, small)
        return None

    def _held(self, root: int) -> dict[str, str]:
        held = self._certificates.get(root)
        if held is not None:
            return held
        return dict(_split(each) for each in self._given.get(root, ()))

    def _inherit(self, big: int, small: int) -> None:
        moved = self._apart.pop(small, None)
        if not moved:
            return
        for other in moved:
            theirs = self._apart[other]
            theirs.discard(small)
            theirs.add(big)
        self._apart.setdefault(big, set()).update(moved)

    def named(self) -> dict[int, int]:
        smallest: dict[int, int] = {}
        rooted = [(record, self._root(record)) for record in sorted(self._parent)]
        for record, root in rooted:
            smallest.setdefault(root, record)
        return {record: smallest[root] for record, root in rooted}


def _differ(ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    return any(ours.get(kind, number) != number for kind, number in theirs.items())


def _split(certificate: str) -> tuple[str, str]:
    kind, _, number = certificate.partition(":")
    return kind, number
