"""What a rule set would change, computed from scored pairs and from how persons stand today. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final
from uuid import UUID

from yimatong.empi.matching.scoring import Thresholds
from yimatong.empi.rules.schemas import Change, Difference, PairChange

SAMPLES_MAX: Final = 200
CHANGES: Final[tuple[Change, ...]] = ("merge", "review", "split", "drop")

Pair = tuple[UUID, UUID]
Scored = tuple[UUID, UUID, float, tuple[str, ...]]
"""Two ids that records were entered under, the weight of the pair, and the guards that hold."""


def ordered(left: UUID, right: UUID) -> Pair:
    """Return a pair in the order in which it is stored."""
    return (left, right) if left < right else (right, left)


class Standing:
    """How persons stand today, by the ids that records were entered under."""

    def __init__(
        self,
        *,
        today: Mapping[UUID, UUID],
        waiting: AbstractSet[Pair],
        rejected: AbstractSet[Pair],
        by_engine: Iterable[Pair],
    ) -> None:
        """Keep it.

        Args:
            today: of every id the person it means.
            waiting: pairs of persons of today that wait for a steward.
            rejected: pairs that a steward judged to be two, as they were entered.
            by_engine: (retired, survivor) of merges by the engine alone that stand.
        """
        self._today = today
        self._waiting = waiting
        self._rejected = {ordered(self.person(left), self.person(right)) for left, right in rejected}
        self.by_engine = tuple(by_engine)

    def person(self, mpi: UUID) -> UUID:
        """Return whom an id means today."""
        return self._today.get(mpi, mpi)

    def waits(self, pair: Pair) -> bool:
        """Say whether a pair of persons waits for a steward."""
        return pair in self._waiting

    def rejected(self, pair: Pair) -> bool:
        """Say whether a steward judged a pair of persons to be two."""
        return pair in self._rejected

    @property
    def waiting(self) -> AbstractSet[Pair]:
        """Every pair that waits."""
        return self._waiting


def difference(scored: Iterable[Scored], standing: Standing, thresholds: Thresholds, *, persons: int) -> Difference:
    """Return what the thresholds would change. ``scored``: pairs from the review threshold on, in any order."""
    between: dict[Pair, tuple[float, tuple[str, ...]]] = {}
    own: dict[Pair, float] = {}
    pairs = 0
    for left, right, weight, guards in scored:
        pairs += 1
        first, second = standing.person(left), standing.person(right)
        if first == second:
            pair = ordered(left, right)
            own[pair] = max(weight, own.get(pair, weight))
            continue
        pair = ordered(first, second)
        known = between.get(pair)
        if known is None:
            between[pair] = (weight, guards)
        else:  # a guard of any statement holds for the whole person
            between[pair] = (max(weight, known[0]), tuple(dict.fromkeys((*known[1], *guards))))
    found: dict[Change, list[PairChange]] = {change: [] for change in CHANGES}
    for pair, (weight, guards) in between.items():
        change = _change(pair, weight, guards, standing, thresholds)
        if change is not None:
            found[change].append(_pair_change(pair, weight, guards))
    for pair in standing.waiting - between.keys():
        found["drop"].append(_pair_change(pair, 0.0, ()))
    found["split"] = list(_splits(own, standing, thresholds))
    return Difference(
        persons=persons,
        pairs=pairs,
        counts={change: len(each) for change, each in found.items()},
        samples={
            change: tuple(heapq.nlargest(SAMPLES_MAX, each, key=lambda one: (one.weight, one.left, one.right)))
            for change, each in found.items()
        },
    )


def _change(
    pair: Pair, weight: float, guards: tuple[str, ...], standing: Standing, thresholds: Thresholds
) -> Change | None:
    if standing.rejected(pair):
        return None
    if weight >= thresholds.link and not guards:
        return "merge"
    if weight >= thresholds.review:
        return None if standing.waits(pair) else "review"
    return "drop" if standing.waits(pair) else None


def _splits(own: Mapping[Pair, float], standing: Standing, thresholds: Thresholds) -> Iterable[PairChange]:
    """Yield merges by the engine that these rules would not make: no pair across them reaches the link threshold.

    Ids of one person stand for a merge as far as they were joined by it; a chain over others counts for it too.
    """
    linked: dict[UUID, set[UUID]] = {}
    best: dict[UUID, float] = {}
    for (left, right), weight in own.items():
        for mpi in (left, right):
            best[mpi] = max(weight, best.get(mpi, weight))
        if weight >= thresholds.link:
            linked.setdefault(left, set()).add(right)
            linked.setdefault(right, set()).add(left)
    for retired, survivor in standing.by_engine:
        if not _reaches(linked, retired, survivor):
            pair = ordered(retired, survivor)
            yield _pair_change(pair, own.get(pair, best.get(retired, 0.0)), ())


def _reaches(linked: Mapping[UUID, set[UUID]], start: UUID, end: UUID) -> bool:
    seen, ahead = {start}, [start]
    while ahead:
        for other in linked.get(ahead.pop(), ()):
            if other == end:
                return True
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return False


def _pair_change(pair: Pair, weight: float, guards: tuple[str, ...]) -> PairChange:
    return PairChange(left=pair[0].hex, right=pair[1].hex, weight=round(weight, 3), guards=guards)


Say = Callable[[str, int, int], None]
"""Told the stage, how many rows are done, and of how many."""
