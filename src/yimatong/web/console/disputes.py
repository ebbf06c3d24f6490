"""What reconciliation found: the runs of the last days, the discrepancies of both books, one of them in detail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import callers
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.reconciliation import queries
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

KINDS: Final = ("amount", "status", "fee", "channel_only", "platform_only", "duplicate")
STATES: Final = ("unsettled", "open", "assigned", "proposed", "approved", "rejected", "executed", "verified", "closed")
_PATH = "/console/discrepancies"
_RUN_DAYS: Final = 14


@get(_PATH, session="console", permission="console:discrepancies", include_in_schema=False)
async def list_discrepancies(page: NamedDependency[Page]) -> Response[str]:
    """Show the runs of a fortnight and a page of discrepancies; without a wish, those that are not settled."""
    day = filters.day(page)
    asked = "state" in page.request.query_params
    wanted = {
        "kind": filters.choice(page, "kind", KINDS),
        "state": filters.choice(page, "state", (*STATES, "all")) if asked else "unsettled",
        "day": day.isoformat() if day else "",
    }
    cursor = filters.words(page, "after")
    today = business_date(page.now)

    async def look(tx: Connection) -> dict[str, Any]:
        found = await queries.page(
            tx,
            scope=page.scope,
            limit=filters.PAGE_ROWS,
            cursor=cursor,
            kind=wanted["kind"],
            state="" if wanted["state"] == "all" else wanted["state"],
            day=day,
        )
        runs = await queries.runs(
            tx, scope=page.scope, first=day or today - timedelta(days=_RUN_DAYS), last=day or today
        )
        ids = {row.institution_id for row in found.discrepancies} | {run.institution_id for run in runs}
        return {
            "rows": found.discrepancies,
            "runs": runs,
            "totals": await queries.totals(tx, scope=page.scope, day=day),
            "names": await callers.names(tx, ids),
            "following": filters.address(_PATH, **wanted, after=found.next) if found.next else "",
        }

    return page.html(
        "console/discrepancies.html",
        **shell(page, "discrepancies"),
        **await page.read(look),
        wanted=wanted,
        kinds=KINDS,
        states=STATES,
        settled=queries.SETTLED,
        first=filters.address(_PATH, **wanted) if cursor else "",
    )


@get(f"{_PATH}/{{discrepancy_id:str}}", session="console", permission="console:discrepancies", include_in_schema=False)
async def show_discrepancy(discrepancy_id: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Show what each book says of one number; another institution's answers like an absent one."""

    async def look(tx: Connection) -> dict[str, Any]:
        found = await queries.find(tx, discrepancy_id, scope=page.scope)
        return {"found": found, "institution": await callers.institution_name(tx, found.institution_id)}

    return page.html("console/discrepancy.html", **shell(page, "discrepancies"), **await page.read(look))


ROUTES = [list_discrepancies, show_discrepancy]
