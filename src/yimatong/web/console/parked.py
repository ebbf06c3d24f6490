"""Messages that were tried for the last time (待人工处理): listed with their reason, given another round by hand."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access import callers
from yimatong.kit import audit, outbox
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput
from yimatong.payments.deliveries import queries, service
from yimatong.payments.errors import DeliveryNotParked
from yimatong.web.console import causes, filters, hospitals
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

_PATH: Final = "/console/parked"
_PERMISSION: Final = "console:deliveries"


@get(_PATH, session="console", permission=_PERMISSION, include_in_schema=False)
async def list_parked(page: NamedDependency[Page]) -> Response[str]:
    """Show parked messages, the oldest first; an institution's own people see those that tell of it."""
    institution = filters.words(page, "institution")
    after = _number(filters.words(page, "after"))

    async def look(tx: Connection) -> dict[str, Any]:
        which = await hospitals.typed(tx, page)
        rows = await queries.parked(
            tx, scope=page.scope, institution_id=which.institution_id, after=after, limit=filters.PAGE_ROWS + 1
        )
        here = rows[: filters.PAGE_ROWS]
        more = len(rows) > filters.PAGE_ROWS
        return {
            "rows": here,
            "which": which,
            "causes": causes.told({each.cause for each in here}, page.language),
            "number": await queries.parked_number(tx, scope=page.scope, institution_id=which.institution_id),
            "names": await callers.names(tx, {each.institution_id for each in here}),
            "following": filters.address(_PATH, institution=institution, after=str(here[-1].message_id))
            if more
            else "",
        }

    return page.html(
        "console/parked.html",
        **shell(page, "parked"),
        **await page.read(look),
        institution=institution,
        province=page.scope.all_rows,
        first=filters.address(_PATH, institution=institution) if after else "",
    )


@post(_PATH, session="console", permission=_PERMISSION, status_code=200, include_in_schema=False)
async def replay(page: NamedDependency[Page]) -> Response[None]:
    """Give one parked message another round of tries; whoever does it is in the audit."""
    form = await page.request.form()
    message_id, order_no = _number(str(form.get("message", ""))), str(form.get("order_no", ""))

    async def verb(tx: Connection) -> None:
        if not page.scope.all_rows:
            await service.replay(tx, order_no, message_id, scope=page.scope, now=page.now)
        elif not await outbox.replay(tx, message_id, now=page.now):
            raise DeliveryNotParked
        await audit.record(
            tx,
            actor=page.operator.operator_id,
            institution_id=page.operator.institution_id,
            action="outbox:replay",
            object_kind="outbox",
            object_id=str(message_id),
            request_id=page.request_id,
            now=page.now,
            detail=order_no,
        )

    await page.write(verb)
    return page.go(filters.address(_PATH, institution=str(form.get("institution", ""))[:64]))


def _number(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 -- a bigint
        raise InvalidInput(detail="message")
    return int(text)


ROUTES = [list_parked, replay]
