"""The audit as the audit administrator reads it: newest rows, and the chain computed again on demand."""

from __future__ import annotations

from functools import partial

from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access import callers, operators
from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.kit import audit
from yimatong.kit.db import Connection
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

_PATH = "/console/audit"


@get(_PATH, session="console", permission="console:audit", include_in_schema=False)
async def list_audit(page: NamedDependency[Page]) -> Response[str]:
    """Show a page of audit rows."""
    wanted = {"actor": filters.words(page, "actor"), "action": filters.words(page, "action")}
    before = filters.words(page, "after")
    found = await page.write(lambda tx: _rows(tx, before=before, **wanted))
    rows, names = found
    shown = rows[: filters.PAGE_ROWS]
    following = filters.address(_PATH, **wanted, after=shown[-1].mark) if len(rows) > filters.PAGE_ROWS else ""
    return page.html(
        "console/audit.html",
        **shell(page, "audit"),
        rows=shown,
        names=names,
        wanted=wanted,
        first=filters.address(_PATH, **wanted) if before else "",
        following=following,
    )


@post(f"{_PATH}/verify", session="console", permission="console:audit", status_code=200, include_in_schema=False)
async def verify_chain(page: NamedDependency[Page]) -> Response[str]:
    """Compute the whole chain again and say whether it holds."""
    mac = partial(hmac_sm3, await page.vault.audit_key())
    anchor = page.parts.audit_anchor

    async def check(tx: Connection) -> tuple[int, audit.AuditBroken | None]:
        try:
            return await audit.verify(tx, mac, anchor=anchor), None
        except audit.AuditBroken as error:
            return 0, error

    covered, broken = await page.write(check)
    return page.html(
        "console/chain.html",
        covered=covered,
        broken=broken.text(page.language) if broken else "",
        code=broken.code if broken else "",
    )


async def _rows(tx: Connection, *, before: str, actor: str, action: str) -> tuple[list[audit.AuditRow], dict[str, str]]:
    try:
        rows = await audit.latest(tx, before=before, actor=actor, action=action, limit=filters.PAGE_ROWS + 1)
    except ValueError as error:
        raise FilterInvalid(detail="after") from error
    actors = {row.actor for row in rows}
    return rows, await callers.names(tx, actors) | await operators.names(tx, actors)


ROUTES = [list_audit, verify_chain]
