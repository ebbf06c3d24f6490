"""Models and scores of pairs for people: every level with its weight in words, and why a rule set judges a pair so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final

import msgspec

from yimatong.empi.dossiers.schemas import Record, Statement, whole
from yimatong.empi.linkage import engine as engines
from yimatong.empi.linkage import stored
from yimatong.empi.linkage.engine import Engine
from yimatong.empi.matching import explain, scoring
from yimatong.empi.matching import model as models
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching import thresholds as chosen
from yimatong.empi.matching.explain import LevelWords
from yimatong.empi.matching.facts import Facts, Score, Verdict
from yimatong.empi.matching.scoring import Thresholds
from yimatong.empi.rules import queries
from yimatong.kit.db import Connection, raw

SHIPPED: Final = 0
"""Version of the model that comes with the product."""

SHIPPED_THRESHOLDS: Final = chosen.DEFAULT
probability = scoring.probability
sentence = explain.sentence
_DOMAIN_INDEX: Final = "98"


class ComparisonShown(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of a model: its name in both languages and its levels; ``unseen`` names those never met."""

    name: str
    zh: str
    en: str
    levels: tuple[LevelWords, ...]
    unseen: frozenset[str]


class ModelShown(msgspec.Struct, frozen=True, kw_only=True):
    """A model for people. ``prior`` is the share of pairs of one person among all pairs, ``prior_weight`` its bits.

    ``trained_on`` is what was kept at the training (source, records, sampled, certain_pairs); None for the shipped one.
    ``thresholds`` were chosen by the training, where it could. ``guards`` are (Chinese, English).
    """

    version: int
    settings: str
    prior: float
    prior_weight: float
    comparisons: tuple[ComparisonShown, ...]
    guards: tuple[tuple[str, str], ...]
    trained_on: dict[str, Any] | None
    thresholds: Thresholds | None
    created_by: str
    created_at: datetime | None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """How rules judge a pair now. ``evidence``: (comparison, level, bits). ``version`` None: the shipped rules."""

    version: int | None
    thresholds: Thresholds
    weight: float
    probability: float
    evidence: tuple[tuple[str, str, float], ...]
    guards: tuple[str, ...]
    verdict: Verdict


async def model(connection: Connection, version: int) -> ModelShown:
    """Return a model in words; 0 is the shipped one.

    Raises:
        MatchModelUnknown: there is none of this version. MatchModelInvalid: it does not fit this release.
    """
    if version == SHIPPED:
        return _shown(models.default(), None)
    line = await queries.model(connection, version)
    return _shown(await stored.read(connection, version), line)


def _shown(found: models.Model, line: stored.StoredModel | None) -> ModelShown:
    told = None if line is None else line.trained_on
    never = frozenset(told.get("unseen_levels", ())) if told else frozenset[str]()
    comparisons = []
    for name, each in groupby(explain.levels(found), key=lambda level: level.comparison):
        levels = tuple(each)
        unseen = frozenset(level.level for level in levels if f"{name}.{level.level}" in never)
        comparisons.append(
            ComparisonShown(
                name=name, zh=levels[0].comparison_zh, en=levels[0].comparison_en, levels=levels, unseen=unseen
            )
        )
    return ModelShown(
        version=SHIPPED if line is None else line.version,
        settings=found.settings.name,
        prior=found.prior,
        prior_weight=found.prior_weight,
        comparisons=tuple(comparisons),
        guards=tuple((each.zh, each.en) for each in configuration.guards(found.settings).values()),
        trained_on=told,
        thresholds=_thresholds(told),
        created_by="" if line is None else line.created_by,
        created_at=None if line is None else line.created_at,
    )


def _thresholds(told: dict[str, Any] | None) -> Thresholds | None:
    return msgspec.convert(told["thresholds"], Thresholds) if told and "thresholds" in told else None


async def judge(
    connection: Connection, version: int | None, left: Record, right: Record, *, merged: bool
) -> Judgement | None:
    """Return how a rule set judges two persons today; None for the version: the rules in force.

    Persons who are apart are compared by their golden records, as a run does; the two sides of a merge by what was
    entered for each, the pair that fits best. None where one side says nothing any more.

    Raises:
        MatchModelInvalid, MatchSettingsInvalid: the stored model cannot be used.
    """
    inside = await raw(connection)
    engine = await (engines.active(inside) if version is None else engines.of_version(inside, version))
    if engine is None:
        return None
    best = max(_scores(engine, left, right, merged=merged), key=lambda score: score.weight, default=None)
    if best is None:
        return None
    return Judgement(
        version=engine.version,
        thresholds=engine.thresholds,
        weight=best.weight,
        probability=best.probability,
        evidence=tuple((each.comparison, each.level, each.weight) for each in best.evidence),
        guards=best.guards,
        verdict=engine.verdict(best),
    )


def _scores(engine: Engine, left: Record, right: Record, *, merged: bool) -> Iterable[Score]:
    scorer = engine.scorer
    ours, theirs = (
        [scorer.prepare(facts) for facts in (_said(record) if merged else [_golden(record)])]
        for record in (left, right)
    )
    return (scorer.score(one, other) for one in ours for other in theirs)


def _golden(record: Record) -> Facts:
    values = {name: whole(record.value(name)) for name in ("name", "sex", "birth_date", "id_type", "id_number")}
    return _facts(
        values,
        number="" if values["id_type"] == _DOMAIN_INDEX else values["id_number"],
        phone=whole(record.value("phone")),
        address=whole(record.value("address")),
    )


def _said(record: Record) -> list[Facts]:
    return [_stated(each) for each in record.statements if each.current]


def _stated(said: Statement) -> Facts:
    facts = said.facts
    number = facts.said_number or ("" if facts.id_type == _DOMAIN_INDEX else facts.id_number)
    values = {name: whole(said.values.get(name, "")) for name in ("sex", "birth_date")}
    values |= {"name": facts.name, "id_type": facts.said_type or facts.id_type}
    return _facts(values, number=number, phone=facts.phone, address=facts.address)


def _facts(values: dict[str, str], *, number: str, phone: str, address: str) -> Facts:
    born = values["birth_date"]
    return Facts(
        name=values["name"],
        sex=values["sex"] or "0",
        birth_date=date.fromisoformat(born) if born else None,
        id_type=values["id_type"] if number else "",
        id_number=number,
        phone=phone,
        address=address,
    )
