"""Rules of matching in words: thresholds as a share of errors, orders of criteria, what one set changes, progress."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from yimatong.empi.rules import explaining, presets
from yimatong.empi.rules.schemas import Body, Difference, RuleSet, Run
from yimatong.web.page import Page

CHANGES: Final = ("merge", "review", "split", "drop")
STAGES: Final = ("prepare", "frequencies", "block", "score", "cluster", "write", "compare")
APPLYING: Final = (*STAGES, "apply")
MOVING: Final = ("waiting", "running")
_BY_ROWS: Final = frozenset({"prepare", "apply"})
_SHARE: Final = {"prepare": 50, "score": 20, "block": 10, "apply": 20}
_SHARE_ELSE: Final = 5
_ODDS_LARGEST: Final = 10**9


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a rule set says otherwise than the one in force."""

    what: str
    now: str
    then: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is: per cent of the whole, the step that it is at (-1 before the first), and all steps."""

    percent: int
    at: int
    steps: tuple[str, ...]


def percent(bits: float) -> str:
    """Write the probability at a weight; near certainty is never written as 100 %, nor hardly anything as 0."""
    share = 100 * explaining.probability(bits)
    if share > 99.99:  # noqa: PLR2004 -- per cent
        return "> 99.99 %"
    return "< 0.01 %" if share < 0.01 else f"{share:.2f} %"  # noqa: PLR2004 -- per cent


def odds(page: Page, bits: float) -> str:
    """Write the probability at a weight as one pair in so many."""
    share = explaining.probability(bits)
    wrong = share >= 0.5  # noqa: PLR2004 -- even odds
    rarer = 1 - share if wrong else share
    many = min(round(1 / rarer), _ODDS_LARGEST) if rarer > 1 / _ODDS_LARGEST else _ODDS_LARGEST
    return page.text("rules.odds.wrong" if wrong else "rules.odds.right", number=f"{many:,}")


def bits(weight: float) -> str:
    """Write a weight in bits as people type it: ``10``, ``−2.5``."""
    return f"{round(weight, 3):g}".replace("-", "−")


def model_name(page: Page, version: int) -> str:
    """Return what a model is called."""
    return page.text("rules.model.shipped") if version == explaining.SHIPPED else f"v{version}"


def order_words(page: Page, field: str, order: tuple[Any, ...]) -> str:
    """Write an order of criteria: the name of the choice, or the criteria one by one."""
    name = presets.name_of(field, order)
    if name:
        return page.text(f"rules.order.{name}")
    return " → ".join(page.text(f"rules.criterion.{each}") for each in order)


def criteria_words(page: Page, order: Sequence[str]) -> str:
    """Write the criteria of an order one by one."""
    return " → ".join(page.text(f"rules.criterion.{each}") for each in order)


def changed(page: Page, wanted: RuleSet, present: RuleSet | None, names: Mapping[str, str]) -> list[Changed]:
    """Return what a rule set says otherwise than the one in force (None: the shipped rules)."""
    now = present.body if present else Body(thresholds=explaining.SHIPPED_THRESHOLDS)
    model = present.model_version if present else explaining.SHIPPED
    then = wanted.body
    lines = [
        (page.text("rules.model"), model_name(page, model), model_name(page, wanted.model_version)),
        (page.text("rules.link"), bits(now.thresholds.link), bits(then.thresholds.link)),
        (page.text("rules.review"), bits(now.thresholds.review), bits(then.thresholds.review)),
    ]
    for field in presets.FIELDS:
        before, after = (order_words(page, field, each.survivorship.order(field)) for each in (now, then))
        lines.append((page.text(f"rules.field.{field}"), before, after))
    ours, theirs = now.survivorship.trust, then.survivorship.trust
    for provider in sorted({*ours, *theirs}):
        what = page.text("rules.trust.of", name=names.get(provider, provider))
        lines.append((what, str(ours.get(provider, 0)), str(theirs.get(provider, 0))))
    return [Changed(what=what, now=before, then=after) for what, before, after in lines if before != after]


def providers(sets: Collection[RuleSet | None]) -> set[str]:
    """Return the providers whose trust any of these rule sets names."""
    return {each for one in sets if one is not None for each in one.body.survivorship.trust}


def progress(run: Run) -> Progress:
    """Return how far a run is."""
    steps = APPLYING if run.kind == "apply" else STAGES
    if run.state not in MOVING:
        return Progress(percent=100, at=len(steps), steps=steps)
    if run.state == "waiting" or run.stage not in steps:
        return Progress(percent=0, at=-1, steps=steps)
    at = steps.index(run.stage)
    shares = [_SHARE.get(step, _SHARE_ELSE) for step in steps]
    done = float(sum(shares[:at]))
    if run.stage in _BY_ROWS and run.rows_total:
        done += shares[at] * min(run.rows_done / run.rows_total, 1)
    return Progress(percent=min(int(100 * done / sum(shares)), 99), at=at, steps=steps)


def touched(difference: Difference) -> int:
    """Return how many pairs a rule set treats otherwise."""
    return sum(difference.counts.values())


def context(page: Page) -> dict[str, Any]:
    """Return the helpers that templates of these pages call."""
    return {
        "percent": percent,
        "odds": lambda weight: odds(page, weight),
        "bits": bits,
        "model_name": lambda version: model_name(page, version),
        "order_words": lambda field, order: order_words(page, field, order),
        "criteria_words": lambda order: criteria_words(page, order),
    }
