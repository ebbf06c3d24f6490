"""The rules by which records are matched now: the active rule set and its model, kept for seconds in each process.

An index without a rule set of its own matches by the model and the thresholds that are shipped with the product.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any, Final

import msgspec

from yimatong.empi.golden.survivorship import Survivorship
from yimatong.empi.matching import model as models
from yimatong.empi.matching import thresholds as shipped
from yimatong.empi.matching.facts import Score, Verdict
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.scoring import Scorer, Thresholds
from yimatong.kit.db import RawConnection

KEPT_S: Final = 3.0
"""For how long a process may go on matching by rules that another one replaced."""

_ACTIVE = "SELECT version, model_version, body::text FROM empi_rule_set WHERE state = 'active'"
_OF_VERSION = "SELECT version, model_version, body::text FROM empi_rule_set WHERE version = %s"
_MODEL = "SELECT body::text FROM empi_match_model WHERE version = %s"


class RuleBody(msgspec.Struct, frozen=True, kw_only=True):
    """What matching and survivorship read of a rule set's body; other keys are others' business."""

    thresholds: Thresholds = shipped.DEFAULT
    survivorship: Survivorship = Survivorship()


class Engine:
    """One rule set ready to use. ``version`` is None for the rules that are shipped."""

    def __init__(self, version: int | None, rules: RuleBody, model: Model | None) -> None:
        """Keep the rules; the scorer is made when the first pair is scored."""
        self.version: Final = version
        self.thresholds: Final = rules.thresholds
        self.survivorship: Final = rules.survivorship
        self._model = model

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer under this rule set's model."""
        return Scorer(self._model or models.default())

    def verdict(self, score: Score) -> Verdict:
        """Return what these rules do with a pair."""
        return self.thresholds.verdict(score)


_rules = msgspec.json.Decoder(RuleBody)
_engines: dict[tuple[object, ...], tuple[float, Engine]] = {}
_models: dict[tuple[object, ...], Model] = {}


async def active(connection: RawConnection) -> Engine:
    """Return the engine under the active rule set of this connection's database.

    Raises:
        MatchModelInvalid, MatchSettingsInvalid: the stored model cannot be used.
    """
    place = _place(connection)
    kept = _engines.get(place)
    if kept is not None and time.monotonic() < kept[0]:
        return kept[1]
    row: Any = await (await connection.execute(_ACTIVE)).fetchone()
    known = None if kept is None else kept[1]
    engine = known if known is not None and row and known.version == row[0] else await _made(connection, place, row)
    _engines[place] = (time.monotonic() + KEPT_S, engine)
    return engine


async def of_version(connection: RawConnection, version: int) -> Engine | None:
    """Return the engine under any stored rule set, to try it or to explain an old decision; None: no such version."""
    row: Any = await (await connection.execute(_OF_VERSION, (version,))).fetchone()
    return None if row is None else await _made(connection, _place(connection), row)


def forget() -> None:
    """Read the rules anew at the next use (after a change of rules in this process)."""
    _engines.clear()


async def _made(connection: RawConnection, place: tuple[object, ...], row: Any) -> Engine:
    if row is None:
        return Engine(None, RuleBody(), None)
    version, model_version, body = row
    return Engine(version, _rules.decode(body), await _model(connection, place, model_version))


async def _model(connection: RawConnection, place: tuple[object, ...], version: int) -> Model | None:
    """Return a stored model; a stored one never changes. Version 0 is the one that is shipped."""
    if version == 0:
        return None
    known = _models.get((*place, version))
    if known is None:
        row: Any = await (await connection.execute(_MODEL, (version,))).fetchone()
        known = models.default() if row is None else models.read(row[0].encode())
        _models[(*place, version)] = known
    return known


def _place(connection: RawConnection) -> tuple[object, ...]:
    """Return which database a connection leads to: a process of the tests has many."""
    info = connection.info
    return info.host, info.port, info.dbname
