"""The console's list of codes: every issue and verification, by filter, newest first."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from yimatong.access import callers
from yimatong.cards.codes import queries as codes
from yimatong.kit.clock import day_bounds
from yimatong.kit.db import Connection
from yimatong.kit.errors import catalogue
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

EVENTS: Final = ("issued", "verified")
PURPOSES: Final = ("register", "visit", "records", "payment", "general")
_PATH = "/console/codes"


def results() -> list[str]:
    """Return every result that a record can carry: ``ok`` or the public code of a refusal."""
    return ["ok", *(code for code in catalogue() if code.startswith("CRD-2"))]


@get(_PATH, session="console", permission="console:codes", include_in_schema=False)
async def list_codes(page: NamedDependency[Page]) -> Response[str]:
    """Show a page of records; no name is read, a card shows as the ends of its number."""
    day = filters.day(page)
    start, end = day_bounds(day) if day else (None, None)
    wanted = {
        "day": day.isoformat() if day else "",
        "event": filters.choice(page, "event", EVENTS),
        "purpose": filters.choice(page, "purpose", PURPOSES),
        "result": filters.choice(page, "result", results()),
        "institution": filters.words(page, "institution"),
    }
    after = filters.mark(page)
    asked = codes.Filters(
        since=start,
        until=end,
        event=wanted["event"] or None,
        purpose=wanted["purpose"] or None,
        result=wanted["result"] or None,
        institution_id=wanted["institution"] or None,
    )

    async def look(tx: Connection) -> dict[str, Any]:
        rows = await codes.records(tx, scope=page.scope, filters=asked, after=after, limit=filters.PAGE_ROWS + 1)
        ids = {row.institution_id for row in rows if row.institution_id} | {row.caller_id for row in rows}
        return {"rows": rows, "names": await callers.names(tx, ids)}

    found = await page.read(look)
    rows = found.pop("rows")
    shown = rows[: filters.PAGE_ROWS]
    more = len(rows) > filters.PAGE_ROWS
    return page.html(
        "console/codes.html",
        **shell(page, "codes"),
        **found,
        rows=shown,
        wanted=wanted,
        events=EVENTS,
        purposes=PURPOSES,
        results=[(code, _result_text(page, code)) for code in results()],
        result_texts={code: _result_text(page, code) for code in {row.result for row in shown}},
        first=filters.address(_PATH, **wanted) if after else "",
        following=filters.address(_PATH, **wanted, after=filters.mark_of(shown[-1].at, shown[-1].record_id))
        if more
        else "",
    )


def _result_text(page: Page, result: str) -> str:
    if result == "ok":
        return page.text("result.ok")
    known = catalogue().get(result)
    return known().text(page.language) if known else result


ROUTES = [list_codes]
