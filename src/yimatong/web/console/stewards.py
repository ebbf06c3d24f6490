"""The steward's desk (主索引审核): the queue by risk and age, its live counts, and the way to the next review."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from yimatong.access import callers, operators
from yimatong.empi.reviews import queries, schemas
from yimatong.empi.reviews.schemas import Line, Waiting
from yimatong.kit.db import Connection
from yimatong.web.console import filters, stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

PATH: Final = "/console/reviews"
PERMISSION: Final = "console:reviews"
_MARK: Final = re.compile(r"(\d{1,3})~(\d{1,17})~([A-Za-z0-9_]{1,64})", re.ASCII)


def wanted_of(page: Page) -> Waiting:
    """Return what is wanted of the queue, from the address.

    Raises:
        FilterInvalid: a filter that the queue does not know.
    """
    order = filters.choice(page, "order", schemas.ORDERS)
    return Waiting(
        kind=filters.choice(page, "kind", schemas.KINDS),
        institution_id=filters.words(page, "institution"),
        stand=filters.choice(page, "state", schemas.STANDS) or "waiting",
        order="age" if order == "age" else "risk",
    )


def place_of(path: str, wanted: Waiting, **more: str) -> str:
    """Return an address that keeps what is wanted of the queue."""
    kept = {
        "kind": wanted.kind,
        "institution": wanted.institution_id,
        "state": "" if wanted.stand == "waiting" else wanted.stand,
        "order": "" if wanted.order == "risk" else wanted.order,
    }
    return filters.address(path, **kept, **more)


def _mark(page: Page) -> tuple[int, datetime, str] | None:
    value = page.request.query_params.get("after", "")
    if not value:
        return None
    found = _MARK.fullmatch(value)
    if found is None:
        raise FilterInvalid(detail="after")
    seconds, micros = divmod(int(found[2]), 1_000_000)
    try:
        return int(found[1]), datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros), found[3]
    except (OverflowError, ValueError, OSError) as error:
        raise FilterInvalid(detail="after") from error


def _mark_of(line: Line) -> str:
    found = line.review
    return f"{found.risk}~{filters.mark_of(found.opened_at, found.review_id)}"


@get(PATH, session="console", permission=PERMISSION, reads="personal", include_in_schema=False)
async def show_queue(page: NamedDependency[Page]) -> Response[str]:
    """Show a page of the queue; names and numbers are masked here, whole in a review."""
    wanted, after = wanted_of(page), _mark(page)
    sealer = await page.vault.sealer()

    async def look(tx: Connection) -> dict[str, Any]:
        lines = await queries.queue(
            tx, sealer, wanted, scope=page.scope, now=page.now, limit=filters.PAGE_ROWS + 1, after=after
        )
        shown = lines[: filters.PAGE_ROWS]
        places = await queries.institutions(tx, scope=page.scope)
        people = {line.review.assignee or line.review.decided_by or "" for line in shown}
        ids = {line.review.institution_id or "" for line in shown} | set(places)
        return {
            "lines": shown,
            "following": place_of(PATH, wanted, after=_mark_of(shown[-1])) if len(lines) > len(shown) else "",
            "counts": await queries.counts(tx, scope=page.scope, now=page.now),
            "checks": len(await queries.to_check(tx, operator_id=page.operator.operator_id, scope=page.scope)),
            "places": places,
            "names": await callers.names(tx, ids) | await operators.names(tx, people),
            "last": await last_of(page, tx),
        }

    return page.html(
        "console/reviews.html",
        **shell(page, "reviews"),
        **stewards_shown.context(),
        **await page.read(look),
        wanted=wanted,
        kinds=schemas.KINDS,
        stands=schemas.STANDS,
        high=schemas.HIGH_RISK,
        medium=schemas.MEDIUM_RISK,
        ago=lambda moment: stewards_shown.ago(page, moment),
        guard_words=lambda name: stewards_shown.guard_words(page, name),
        start=place_of(f"{PATH}/next", wanted),
        open_at=lambda review_id: place_of(f"{PATH}/{review_id}", wanted),
        first=place_of(PATH, wanted) if after else "",
    )


async def last_of(page: Page, tx: Connection) -> schemas.Review | None:
    """Return the review that this operator decided a moment ago, for the bar that takes it back; None: nothing."""
    review_id = filters.words(page, "last")
    if not review_id:
        return None
    steps = await queries.steps(tx, review_id)
    done = next((step for step in reversed(steps) if step.what != "noted"), None)
    if done is None or done.operator_id != page.operator.operator_id or done.what not in schemas.UNDOABLE:
        return None
    found = await queries.read(tx, review_id, scope=page.scope)
    return None if found.state == "later" and found.due_at is not None and found.due_at <= page.now else found


@get(f"{PATH}/counts", session="console", permission=PERMISSION, include_in_schema=False)
async def show_counts(page: NamedDependency[Page]) -> Response[str]:
    """Answer the numbers alone; the queue asks for them every ten seconds."""
    found = await page.read(lambda tx: queries.counts(tx, scope=page.scope, now=page.now))
    return page.html("console/review_counts.html", counts=found, ago=lambda moment: stewards_shown.ago(page, moment))


@get(f"{PATH}/next", session="console", permission=PERMISSION, include_in_schema=False)
async def go_on(page: NamedDependency[Page]) -> Response[None]:
    """Lead to the next review that nobody works on, or to the queue when nothing is left."""
    wanted = wanted_of(page)
    but, last = filters.words(page, "but"), filters.words(page, "last")
    since = queries.free_since(page.now)
    found = await page.read(
        lambda tx: queries.following(
            tx,
            wanted,
            scope=page.scope,
            operator_id=page.operator.operator_id,
            free_since=since,
            now=page.now,
            but=but,
        )
    )
    return page.go(place_of(f"{PATH}/{found}" if found else PATH, wanted, last=last))


ROUTES = [show_queue, show_counts, go_on]
