"""A model and a score in words, and as numbers for charts. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching.facts import Score
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.scoring import NOT_SAID

Language = Literal["zh", "en"]


class LevelWords(msgspec.Struct, frozen=True, kw_only=True):
    """One level of a comparison for a table or a chart; ``weight`` in bits, before rare values count."""

    comparison: str
    comparison_zh: str
    comparison_en: str
    level: str
    zh: str
    en: str
    m: float
    u: float
    weight: float
    rare_by: str = ""
    """The column whose frequencies move the weight, if any."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of a scored pair: what came out, how many bits it adds, and the sum so far (a waterfall)."""

    comparison: str
    zh: str
    en: str
    weight: float
    total: float


def levels(model: Model) -> list[LevelWords]:
    """Return every level of the model with its weight, in the order of the settings."""
    found = []
    for comparison in model.settings.comparisons:
        rare = {each.level: each.column for each in comparison.frequencies}
        for level in configuration.comparator(comparison).levels:
            shares = model.learnt[comparison.name][level.name]
            found.append(
                LevelWords(
                    comparison=comparison.name,
                    comparison_zh=comparison.zh or comparison.name,
                    comparison_en=comparison.en or comparison.name,
                    level=level.name,
                    zh=level.zh,
                    en=level.en,
                    m=shares.m,
                    u=shares.u,
                    weight=shares.weight,
                    rare_by=rare.get(level.name, ""),
                )
            )
    return found


def sentence(level: LevelWords, language: Language) -> str:
    """Return what a level means: how often in pairs of one person, how often in pairs of two, hence its weight."""
    if language == "zh":
        return (
            f"{level.comparison_zh}“{level.zh}”：同一人的记录对中占 {_share(level.m)}，不同人的记录对中占"
            f" {_share(level.u)}，权重 {level.weight:+.1f} 比特" + ("，值越少见权重越大" if level.rare_by else "")
        )
    return (
        f"{level.comparison_en} “{level.en}”: {_share(level.m)} of pairs of one person, {_share(level.u)} of pairs of"
        f" two, weight {level.weight:+.1f} bits" + (", more for a rare value" if level.rare_by else "")
    )


def _share(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else f"1/{1 / share:,.0f}"  # noqa: PLR2004 -- below it percents say nothing


def waterfall(model: Model, score: Score) -> list[Line]:
    """Return a score step by step: the prior first, then each comparison in order."""
    words = {(each.comparison, each.level): each for each in levels(model)}
    named = {each.name: each for each in model.settings.comparisons}
    total = model.prior_weight
    lines = [Line(comparison="prior", zh="起点（先验）", en="before any comparison", weight=total, total=total)]
    for each in score.evidence:
        total += each.weight
        comparison = named[each.comparison]
        zh, en = ("未比较（缺失）", "not said") if each.level == NOT_SAID else ("", "")
        if (known := words.get((each.comparison, each.level))) is not None:
            zh, en = known.zh, known.en
        lines.append(
            Line(
                comparison=each.comparison,
                zh=f"{comparison.zh or each.comparison}：{zh}",
                en=f"{comparison.en or each.comparison}: {en}",
                weight=each.weight,
                total=total,
            )
        )
    return lines


def guards(model: Model, score: Score, language: Language) -> list[str]:
    """Return in words why a pair must not be linked by machine."""
    known = configuration.guards(model.settings)
    return [getattr(known[name], language) for name in score.guards if name in known]
