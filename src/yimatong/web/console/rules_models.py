"""Models of matching (匹配模型): which there are, and one of them explained: every level with its weight, drawn."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.empi.rules import explaining, queries
from yimatong.empi.rules.explaining import ModelShown
from yimatong.kit.db import Connection
from yimatong.web import charts
from yimatong.web.console import rules_shown, stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.console.rules import DRAFT, PERMISSION, may
from yimatong.web.page import Page

PATH: Final = "/console/rule-models"
ModelInPath = Annotated[str, PathParameter(pattern="^(0|[1-9][0-9]{0,8})(?!\\n)$")]


@get(PATH, session="console", permission=PERMISSION, include_in_schema=False)
async def list_models(page: NamedDependency[Page]) -> Response[str]:
    """Show the stored models, the newest first, and the shipped one."""

    async def look(tx: Connection) -> dict[str, Any]:
        present = await queries.active(tx)
        used = present.model_version if present else explaining.SHIPPED
        return {"models": await queries.models(tx), "used": used}

    return page.html(
        "console/rule_models.html", **shell(page, "rules"), **rules_shown.context(page), **await page.read(look)
    )


@get(f"{PATH}/{{version:str}}", session="console", permission=PERMISSION, include_in_schema=False)
async def show_model(version: ModelInPath, page: NamedDependency[Page]) -> Response[str]:
    """Show a model in words and pictures."""
    found = await page.read(lambda tx: explaining.model(tx, int(version)))
    low, high = _axis(found)
    return page.html(
        "console/rule_model.html",
        **shell(page, "rules"),
        **rules_shown.context(page),
        model=found,
        drawn=lambda weight: charts.step(0.0, weight, low=low, high=high),
        prior_drawn=charts.step(0.0, found.prior_weight, low=min(low, found.prior_weight), high=high),
        signed=stewards_shown.signed,
        sentence=lambda level: explaining.sentence(level, "en" if page.language == "en" else "zh"),
        scale=_scale(low, high),
        may_draft=may(page, DRAFT),
    )


def _axis(found: ModelShown) -> tuple[float, float]:
    weights = [level.weight for comparison in found.comparisons for level in comparison.levels]
    return min(*weights, 0.0), max(*weights, 0.0)


def _scale(low: float, high: float) -> tuple[str, str]:
    return stewards_shown.signed(low), stewards_shown.signed(high)


ROUTES = [list_models, show_model]
