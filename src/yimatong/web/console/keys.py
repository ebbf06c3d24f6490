"""Keys in the console: versions, proposals that wait for the other custodian, what was done, how far re-sealing is.

What a custodian does here goes through the same verbs as ``ymt keys``. Proposing, components and files stay at the
command line, where nothing that is secret passes a browser.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import operators, resealing
from yimatong.access.ceremony import queries
from yimatong.access.ceremony.schemas import BY_HAND
from yimatong.access.ceremony.service import PERMISSION, Ceremonies
from yimatong.kit.db import Connection
from yimatong.web.console.menu import shell
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

_PATH: Final = "/console/keys"
_DONE_ROWS: Final = 50


@get(_PATH, session="console", permission="console:key-list", include_in_schema=False)
async def show_keys(page: NamedDependency[Page], ceremonies: NamedDependency[Ceremonies]) -> Response[str]:
    """Show versions, open proposals, the last ceremonies and the re-sealing."""
    standing = await ceremonies.look()

    async def look(tx: Connection) -> dict[str, Any]:
        pending = await queries.latest(tx, limit=_DONE_ROWS, open_only=True)
        done = await queries.latest(tx, limit=_DONE_ROWS)
        ids = {each.proposer_id for each in (*pending, *done)} | {each.approver_id or "" for each in done}
        names = await operators.names(tx, ids)
        return {"pending": pending, "done": done, "names": names, "progress": await resealing.progress(tx)}

    found = await page.read(look)
    affected = {each.approval_id: await ceremonies.affected(each.request, now=page.now) for each in found["pending"]}
    active = next((info.version for info in standing.infos if (info.usage, info.state) == ("protection", "active")), 0)
    places = [each for each in found.pop("progress") if each.version == active]
    return page.html(
        "console/keys.html",
        **shell(page, "keys"),
        **found,
        standing=standing,
        since={(entry.usage, entry.version): entry.since for entry in standing.entries},
        affected=affected,
        by_hand=BY_HAND,
        may_decide=PERMISSION in page.operator.permissions,
        places=places,
        through=sum(each.done_at is not None for each in places),
    )


@post(
    f"{_PATH}/{{approval_id:str}}/{{verb:str}}",
    session="console",
    permission=PERMISSION,
    status_code=200,
    include_in_schema=False,
)
async def decide_proposal(
    approval_id: FromPath[str],
    verb: FromPath[str],
    page: NamedDependency[Page],
    ceremonies: NamedDependency[Ceremonies],
) -> Response[None]:
    """Approve (and perform at once what needs nothing else) or reject, as the operator who is logged in."""
    if verb == "approve":
        await ceremonies.approve_and_run(approval_id, operator=page.operator, now=page.now)
    elif verb == "reject":
        await ceremonies.decide(approval_id, operator=page.operator, approve=False, now=page.now)
    else:
        raise FilterInvalid(detail=verb)
    return page.go(_PATH)


ROUTES = [show_keys, decide_proposal]
