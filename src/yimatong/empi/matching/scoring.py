"""The online scorer: two records, one number, and why. Pure; bulk linkage computes the same in SQL (``sql``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from yimatong.empi.errors import MatchThresholdsInvalid
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching.comparators import MISSING, Prepared
from yimatong.empi.matching.facts import Facts, FieldEvidence, Score, Verdict
from yimatong.empi.matching.model import Model

_OVERFLOW_BITS: Final = 1000.0
NOT_SAID: Final = "missing"
"""The level of a comparison of which one record says nothing; its weight is 0."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bits of weight (with the prior) from which a pair is linked, and from which a steward sees it."""

    link: float
    review: float

    def verdict(self, score: Score) -> Verdict:
        """Return what to do with a pair; one with a guard is never linked by machine."""
        if score.weight >= self.link:
            return "review" if score.guards else "link"
        return "review" if score.weight >= self.review else "apart"


def checked(thresholds: Thresholds) -> Thresholds:
    """Return the thresholds.

    Raises:
        MatchThresholdsInvalid: they would send fewer pairs to stewards than they link, or are no numbers.
    """
    if not (math.isfinite(thresholds.link) and math.isfinite(thresholds.review)):
        raise MatchThresholdsInvalid
    if thresholds.review > thresholds.link:
        raise MatchThresholdsInvalid
    return thresholds


def probability(weight: float) -> float:
    """Return the probability of one person at a weight in bits (prior included)."""
    if weight >= 0:
        return 1 / (1 + math.exp2(-min(weight, _OVERFLOW_BITS)))
    odds = math.exp2(max(weight, -_OVERFLOW_BITS))
    return odds / (1 + odds)


_Plan = tuple[
    str, Callable[[Prepared, Prepared], int], tuple[FieldEvidence, ...], tuple[tuple[str, float, float] | None, ...]
]


class Scorer:
    """Scores pairs under one model. Cheap to call, thread-safe, holds no records."""

    def __init__(self, model: Model) -> None:
        """Read the model once: comparators, weights, frequencies."""
        self.model: Final = model
        self._preparation = configuration.preparation(model.settings)
        self._prior = model.prior_weight
        self._frequencies = [(f"tf_{column}", column, model.frequencies[column]) for column in model.frequencies]
        self._hot = [
            (each.columns, frozenset(values))
            for each, values in zip(model.settings.hot, model.hot, strict=False)
            if values
        ]
        self.apart: Final = frozenset(
            name for name, guard in configuration.guards(model.settings).items() if guard.apart
        )
        """Guards that speak against one person, not only against the one pair."""
        self._guards = [(name, guard.holds) for name, guard in configuration.guards(model.settings).items()]
        self._plans = [_plan(model, comparison) for comparison in model.settings.comparisons]

    def prepare(self, facts: Facts | Mapping[str, Any]) -> Prepared:
        """Return the columns of a record that ``score`` compares; once a record, whatever it is compared with."""
        prepared = self._preparation.prepare(facts)
        for columns, values in self._hot:
            if "|".join([prepared[column] or "" for column in columns]) in values:
                prepared.update(dict.fromkeys(columns))
        for key, column, frequencies in self._frequencies:
            value = prepared[column]
            prepared[key] = None if value is None else frequencies.log2(value)
        return prepared

    def weight(self, left: Prepared, right: Prepared) -> float:
        """Return the weight alone, for those who ask nothing else."""
        return self.score(left, right).weight

    def score(self, left: Prepared, right: Prepared) -> Score:
        """Return how strongly two prepared records speak for one person, and why."""
        weight = self._prior
        evidence = []
        for name, compare, plain, rare in self._plans:
            index = compare(left, right)
            found = plain[index]
            if index != MISSING and (by := rare[index]) is not None:
                key, log2_u, share = by
                ours, theirs = left[key], right[key]
                if ours is not None and theirs is not None:
                    more = share * (log2_u - (max(theirs, ours)))
                    found = FieldEvidence(name, found.level, found.weight + more)
            weight += found.weight
            evidence.append(found)
        guards = tuple(name for name, holds in self._guards if holds(left, right))
        return Score(weight, probability(weight), tuple(evidence), guards)


def _plan(model: Model, comparison: configuration.Comparison) -> _Plan:
    made = configuration.comparator(comparison)
    learnt = model.learnt[comparison.name]
    rare = {
        each.level: (f"tf_{each.column}", math.log2(learnt[each.level].u), each.share)
        for each in comparison.frequencies
    }
    plain = [FieldEvidence(comparison.name, level.name, learnt[level.name].weight) for level in made.levels]
    plain.append(FieldEvidence(comparison.name, NOT_SAID, 0.0))  # index -1: MISSING
    return comparison.name, made.compare, tuple(plain), (*(rare.get(level.name) for level in made.levels), None)
