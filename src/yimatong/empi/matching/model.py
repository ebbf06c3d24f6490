"""A Fellegi-Sunter model: settings, what was learnt for each level, the prior, frequencies of values. Pure.

Fellegi and Sunter 1969, *A Theory for Record Linkage*: the weight of a level is log2(m/u), m its share among pairs of
one person, u its share among pairs of two; weights of all comparisons and the prior add up. A level of a comparison
that looks at rare values gets log2(u / frequency) more (Winkler 2000, frequency-based matching).
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import resources
from typing import Final

import msgspec

from yimatong.empi.errors import MatchModelInvalid
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching.settings import Settings


class Learnt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one level: its share among pairs of one person and among pairs of two, both in (0, 1]."""

    m: float
    u: float

    @property
    def weight(self) -> float:
        """Bits that this level speaks for (or, below zero, against) one person."""
        return math.log2(self.m / self.u)


class Frequencies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often values of a column occur; ``unseen`` counts for all that are not listed and is the least there is."""

    unseen: float
    values: dict[str, float] = {}

    def log2(self, value: object) -> float:
        """Return the base-2 logarithm of a value's frequency."""
        return math.log2(max(self.values.get(str(value), self.unseen), self.unseen))


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``prior`` is the share of pairs of one person among all pairs; ``learnt`` goes by comparison, then level.

    ``hot`` lists values that so many people share that they count as not said, by the number of ``settings.hot``.
    """

    settings: Settings
    prior: float
    learnt: dict[str, dict[str, Learnt]]
    frequencies: dict[str, Frequencies] = {}
    hot: tuple[tuple[str, ...], ...] = ()

    @property
    def prior_weight(self) -> float:
        """Bits that a pair starts with, before anything is compared."""
        return math.log2(self.prior / (1 - self.prior))


_decoder: Final = msgspec.json.Decoder(Model)


def read(document: bytes) -> Model:
    """Return the model in a JSON document.

    Raises:
        MatchModelInvalid: it has another shape, or its levels are not those of its comparators.
        MatchSettingsInvalid: its settings name something that is not known.
    """
    try:
        model = _decoder.decode(document)
    except msgspec.DecodeError as error:
        raise MatchModelInvalid(detail=str(error)) from error
    check(model)
    return model


def write(model: Model) -> bytes:
    """Return the model as a JSON document."""
    return msgspec.json.encode(model)


def check(model: Model) -> None:
    """Refuse a model that does not fit its own settings.

    Raises:
        MatchModelInvalid: a level has no weight, or a share or the prior is not between 0 and 1.
        MatchSettingsInvalid: its settings name something that is not known.
    """
    configuration.check(model.settings)
    if not 0 < model.prior < 1:
        raise MatchModelInvalid(detail="prior")
    for comparison in model.settings.comparisons:
        learnt = model.learnt.get(comparison.name, {})
        for level in configuration.comparator(comparison).levels:
            shares = learnt.get(level.name)
            if shares is None or not (0 < shares.m <= 1 and 0 < shares.u <= 1):
                raise MatchModelInvalid(detail=f"{comparison.name}: {level.name}")
    if model.hot and len(model.hot) != len(model.settings.hot):
        raise MatchModelInvalid(detail="hot")
    for column in model.settings.frequency_columns:
        known = model.frequencies.get(column)
        if known is None or not 0 < known.unseen <= 1:
            raise MatchModelInvalid(detail=f"frequencies of {column}")


@lru_cache(maxsize=1)
def default() -> Model:
    """Return the model that is shipped with the product, for an index that has not trained its own."""
    return read(resources.files("yimatong.empi.matching").joinpath("data", "default.json").read_bytes())
