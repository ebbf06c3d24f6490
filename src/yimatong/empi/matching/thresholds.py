"""From which weight on a pair is linked by machine, and from which a steward sees it: chosen without the truth. Pure.

A model's own probabilities claim too much where fields depend on each other, so they are checked against pairs whose
answer is known from something else: both records hold a *valid identity number*, equal or not. These pairs are scored
as if neither record had a number; what the numbers then say is the answer. From them follows, for every weight, which
share of links is false among pairs that have no number to prove them.

- ``link`` is the least weight at which the expected share of false links among all automatic links stays within
  ``false_share``, and the links just above it are not worse than ``worst_band``.
- ``review`` is 0 bits (even odds), or more where that would give stewards more than ``review_share`` pairs a record.
- Too few proven pairs (fewer than ``LEAST_PROVEN``): ``DEFAULT``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from yimatong.empi.matching.scoring import Thresholds

DEFAULT: Final = Thresholds(link=10.0, review=0.0)
LEAST_PROVEN: Final = 2000
_BAND_LEAST: Final = 60
"""Pairs in a band before its own share of false links is believed."""
_LOWEST_LINK: Final = 3.0
"""Never below 8 to 1, whatever the proven pairs say."""
_HIGHEST_LINK: Final = 14.0
"""Never above 16,000 to 1: where that does not do, the few that err are of a kind that no weight tells apart."""
_LIFT_LEAST: Final = 400
_STEP: Final = 0.5


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs without a guard, of one half bit from ``weight`` on.

    ``same``, ``different``: proven pairs scored without their numbers, of one person and of two. ``unproven``,
    ``proven``: pairs in which not both numbers are valid, and in which both are, as they are scored for linking.
    """

    weight: float
    same: int = 0
    different: int = 0
    unproven: int = 0
    proven: int = 0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs of one half bit from ``weight`` on that stewards would see: those with a guard, and those without."""

    weight: float
    guarded: int = 0
    free: int = 0


def band_of(weight: float) -> float:
    """Return the lower edge of the band of a weight."""
    return math.floor(weight / _STEP) * _STEP


def choose(
    bands: Sequence[Band],
    load: Sequence[Load] = (),
    *,
    records: int,
    false_share: float = 0.0005,
    worst_band: float = 0.03,
    review_share: float = 0.022,
) -> Thresholds:
    """Return the thresholds for what was counted.

    Args:
        bands: links by weight, any order, one for each half bit.
        load: pairs by weight that would go to stewards.
        records: how many records there are.
        false_share: expected share of false links among all automatic ones that is borne.
        worst_band: the same for the lowest links alone.
        review_share: pairs for stewards, a record.
    """
    if sum(band.same for band in bands) < LEAST_PROVEN:
        link = DEFAULT.link
    else:
        link = _link(bands, false_share=false_share, worst_band=worst_band)
    return Thresholds(link=link, review=_review(load, link=link, most=review_share * records))


def _link(bands: Sequence[Band], *, false_share: float, worst_band: float) -> float:
    """Go down from the heaviest links while the expected false ones are borne."""
    expected, links = 0.0, 0
    link = math.inf
    for band, share in _shares(bands):
        expected, links = expected + share * band.unproven, links + band.unproven + band.proven
        if band.weight < _LOWEST_LINK:
            break
        if share <= worst_band and expected <= false_share * links:
            link = band.weight
    return min(link, _HIGHEST_LINK)


def _shares(bands: Sequence[Band]) -> list[tuple[Band, float]]:
    """Return the bands from the heaviest down with the share of two persons, which never falls on the way down.

    Neighbours that contradict that are one pool (isotonic regression, pool adjacent violators), and so are bands until
    ``_BAND_LEAST`` proven pairs are in one.
    """
    pools: list[tuple[list[Band], int, int]] = []
    for band in sorted(bands, key=lambda each: -each.weight):
        pools.append(([band], band.same, band.different))
        while len(pools) > 1:
            (upper, same, different), (lower, same_too, different_too) = pools[-2:]
            small = same + different < _BAND_LEAST
            if not small and _share(same, different) <= _share(same_too, different_too):
                break
            pools[-2:] = [(upper + lower, same + same_too, different + different_too)]
    return [(band, _share(same, different)) for pool, same, different in pools for band in pool]


def _share(same: int, different: int) -> float:
    """Return the share of two persons among proven pairs; one that was never seen counts a quarter."""
    total = same + different
    return (different + 0.25) / (total + 0.5) if total else 0.0


def _review(load: Sequence[Load], *, link: float, most: float) -> float:
    """Return the least weight, 0 or more, from which stewards get no more pairs than they are to get."""
    seen = sum(each.guarded for each in load if each.weight >= link)
    review = link
    for each in sorted(load, key=lambda one: -one.weight):
        if each.weight >= link:
            continue
        if each.weight < DEFAULT.review:
            break
        seen += each.guarded + each.free
        if seen > most:
            return review
        review = each.weight
    return min(link, DEFAULT.review)


def needless(*, same: int, different: int) -> bool:
    """Say whether a guard may go: among many proven pairs that it would have held up, not one was of two persons."""
    return different == 0 and same >= _LIFT_LEAST
