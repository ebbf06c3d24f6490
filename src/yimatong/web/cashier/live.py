"""The result, told live: server-sent events, and one short question every two seconds where they fail.

An open page costs one small query a second at most. A stream ends when the order is done, or after ten minutes: the
page then offers to ask again. Nothing here decides anything, and waiting never becomes an outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage

from yimatong.kit.errors import DatabaseUnavailable
from yimatong.web.cashier.standing import FINAL, Till, read_mark, till_of
from yimatong.web.page import Page

STREAM_S: Final = 600
TICK_S: Final = 1.0
_QUIET: Final = 15
"""So many ticks without news are followed by a comment, which keeps proxies from closing the stream."""


@get("/cashier/state", session="cashier", permission="cashier:show", include_in_schema=False)
async def tell_state(page: NamedDependency[Page]) -> Response[Any]:
    """Say whether the page has to be drawn again; asked every two seconds where there is no stream."""
    mark = await page.read(lambda tx: read_mark(tx, till_of(page), now=page.now))
    changed = page.request.query_params.get("seen", "") != mark
    return Response(None, status_code=204, headers={"hx-refresh": "true"} if changed else {})


@get("/cashier/events", session="cashier", permission="cashier:show", include_in_schema=False)
async def stream(page: NamedDependency[Page]) -> ServerSentEvent:
    """Send ``changed`` when the page has to be drawn again, and ``ended`` after ten minutes without it."""
    seen = page.request.query_params.get("seen", "")[:200]
    return ServerSentEvent(_events(page, till_of(page), seen), headers={"x-accel-buffering": "no"})


async def _events(page: Page, till: Till, seen: str) -> AsyncIterator[ServerSentEventMessage]:
    begun = asyncio.get_running_loop().time()
    ticks = 0
    while (elapsed := asyncio.get_running_loop().time() - begun) < STREAM_S:
        try:
            async with page.db.read() as tx:
                mark = await read_mark(tx, till, now=page.now + timedelta(seconds=elapsed))
        except DatabaseUnavailable:
            mark = seen
        if mark != seen:
            yield ServerSentEventMessage(event="changed", data=mark)
            return
        if mark.partition(".")[0] in FINAL:
            break
        if ticks % _QUIET == 0:
            yield ServerSentEventMessage(comment="waiting")
        ticks += 1
        await asyncio.sleep(TICK_S)
    yield ServerSentEventMessage(event="ended", data="ended")


ROUTES = [tell_state, stream]
