"""The second look (复核): drawn reviews are judged again by somebody else, who does not see the first answer."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access import callers
from yimatong.empi.dossiers import queries as dossiers
from yimatong.empi.reviews import queries, service
from yimatong.kit.db import Connection
from yimatong.web.console import stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.console.stewards import PERMISSION
from yimatong.web.console.stewards_review import ReviewInPath, providers_of, shown_pair
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

_PATH: Final = "/console/double-checks"
OUTCOMES: Final = ("merged", "rejected", "unsure")


@get(_PATH, session="console", permission=PERMISSION, include_in_schema=False)
async def list_checks(page: NamedDependency[Page]) -> Response[str]:
    """Show what this operator may judge a second time; no names here."""
    own = page.operator.operator_id
    found = await page.read(lambda tx: queries.to_check(tx, operator_id=own, scope=page.scope))
    done = page.request.query_params.get("done") == "1"
    return page.html("console/double_checks.html", **shell(page, "reviews"), checks=found, done=done)


@get(f"{_PATH}/{{review_id:str}}", session="console", permission=PERMISSION, reads="personal", include_in_schema=False)
async def show_check(review_id: ReviewInPath, page: NamedDependency[Page]) -> Response[str]:
    """Show both records as they stood apart, without any answer, history or note."""
    sealer = await page.vault.sealer()

    async def look(tx: Connection) -> dict[str, Any]:
        review = await queries.may_check(tx, review_id, operator_id=page.operator.operator_id, scope=page.scope)
        left, right = await dossiers.sides(tx, sealer, review.left_mpi, review.right_mpi)
        names = await callers.names(tx, providers_of(left, right))
        return {"review": review, "left": left, "right": right, "names": names}

    found = await page.read(look)
    return page.html(
        "console/double_check.html",
        **shell(page, "reviews"),
        **stewards_shown.context(),
        **found,
        **shown_pair(page, found["review"], found["left"], found["right"]),
    )


@post(f"{_PATH}/{{review_id:str}}", session="console", permission=PERMISSION, status_code=200, include_in_schema=False)
async def judge(review_id: ReviewInPath, page: NamedDependency[Page]) -> Response[None]:
    """Keep the second answer."""
    outcome = str((await page.request.form()).get("outcome", ""))
    if outcome not in OUTCOMES:
        raise FilterInvalid(detail="outcome")
    sealer, blinder = await page.vault.sealer(), await page.vault.blinder()
    own = page.operator.operator_id

    async def verb(tx: Connection) -> None:
        await queries.may_check(tx, review_id, operator_id=own, scope=page.scope)
        await service.second_opinion(
            tx,
            review_id,
            "merged" if outcome == "merged" else "rejected" if outcome == "rejected" else "unsure",
            operator=own,
            sealer=sealer,
            blinder=blinder,
            now=page.now,
        )

    await page.write(verb)
    return page.go(f"{_PATH}?done=1")


ROUTES = [list_checks, show_check, judge]
