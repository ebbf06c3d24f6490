"""The console's list of physical cards: by state, type and institution; one card by its number; the last deliveries."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access import callers
from yimatong.cards.errors import CardNotFound
from yimatong.cards.registry import queries as registry
from yimatong.cards.registry.schemas import CARD_TYPES
from yimatong.kit.db import Connection
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

STATES: Final = ("issued", "lost", "replaced", "cancelled")
_PATH: Final = "/console/physical-cards"
_NUMBER_MAX = 40


@get(_PATH, session="console", permission="console:physical", include_in_schema=False)
async def list_physical(page: NamedDependency[Page]) -> Response[str]:
    """Show a page of cards; no number is read, a card shows as the end of its number."""
    wanted = {
        "state": filters.choice(page, "state", STATES),
        "type": filters.choice(page, "type", CARD_TYPES),
        "institution": filters.words(page, "institution"),
    }
    after = filters.mark(page)
    asked = registry.CardFilters(
        state=wanted["state"] or None,
        card_type=wanted["type"] or None,
        institution_id=wanted["institution"] or None,
    )

    async def look(tx: Connection) -> dict[str, Any]:
        rows = await registry.listed(tx, scope=page.scope, filters=asked, after=after, limit=filters.PAGE_ROWS + 1)
        deliveries = [] if after else await registry.deliveries(tx, scope=page.scope)
        ids = {line.institution_id for line in deliveries}
        return {"rows": rows, "deliveries": deliveries, "names": await callers.names(tx, ids)}

    found = await page.read(look)
    rows = found.pop("rows")
    shown = rows[: filters.PAGE_ROWS]
    following = ""
    if len(rows) > filters.PAGE_ROWS:
        mark = filters.mark_of(shown[-1].issued_at, shown[-1].card_id)
        following = filters.address(_PATH, **wanted, after=mark)
    first = filters.address(_PATH, **wanted) if after else ""
    return _page(page, rows=shown, wanted=wanted, first=first, following=following, **found)


@post(
    f"{_PATH}/find",
    session="console",
    permission="console:physical",
    reads="personal",
    status_code=200,
    include_in_schema=False,
)
async def find_physical(page: NamedDependency[Page]) -> Response[str]:
    """Show the card with a number; the number comes in a form, so that no address and no log has it."""
    form = await page.request.form()
    number, kind = str(form.get("number", "")).strip()[:_NUMBER_MAX], str(form.get("type", ""))
    blind = (await page.vault.blinder()).card_blind(kind, number)

    async def look(tx: Connection) -> list[Any]:
        try:
            return [await registry.found(tx, number=(kind, blind), chip=None, scope=page.scope)]
        except CardNotFound:
            return []

    rows = await page.write(look)
    nothing = {"state": "", "type": "", "institution": ""}
    return _page(page, rows=rows, wanted=nothing, first=_PATH, following="", deliveries=[], names={})


def _page(page: Page, **context: Any) -> Response[str]:
    kinds = [(code, term.en if page.language == "en" else term.zh) for code, term in CARD_TYPES.items()]
    return page.html(
        "console/physical.html",
        **shell(page, "physical"),
        **context,
        states=STATES,
        kinds=kinds,
        kind_texts=dict(kinds),
    )


ROUTES = [list_physical, find_physical]
