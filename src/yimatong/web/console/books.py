"""The finance clerk's pages: orders and what became of them; what reconciliation found."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import callers
from yimatong.kit.db import Connection
from yimatong.payments.orders import queries as orders
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

STATES: Final = ("created", "paying", "paid", "partly_refunded", "refunded", "closing", "closed")
_PATH = "/console/payments"


@get(_PATH, session="console", permission="console:payments", include_in_schema=False)
async def list_payments(page: NamedDependency[Page]) -> Response[str]:
    """Show a page of orders, newest first."""
    wanted = {"state": filters.choice(page, "state", STATES), "source": filters.words(page, "source")}
    cursor = filters.words(page, "after")

    async def look(tx: Connection) -> dict[str, Any]:
        found = await orders.page(
            tx,
            scope=page.scope,
            limit=filters.PAGE_ROWS,
            cursor=cursor,
            state=wanted["state"],
            source_id=wanted["source"],
        )
        following = filters.address(_PATH, **wanted, after=found.next) if found.next else ""
        names = await callers.names(tx, {row.institution_id for row in found.orders})
        return {"rows": found.orders, "names": names, "following": following}

    return page.html(
        "console/payments.html",
        **shell(page, "payments"),
        **await page.read(look),
        wanted=wanted,
        states=STATES,
        first=filters.address(_PATH, **wanted) if cursor else "",
    )


@get(f"{_PATH}/{{order_no:str}}", session="console", permission="console:payments", include_in_schema=False)
async def show_payment(order_no: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Show one order with its items and refunds; another institution's answers like an absent one."""

    async def look(tx: Connection) -> dict[str, Any]:
        order = await orders.find(tx, order_no, scope=page.scope)
        return {"order": order, "institution": await callers.institution_name(tx, order.institution_id)}

    return page.html("console/payment.html", **shell(page, "payments"), **await page.read(look))


ROUTES = [list_payments, show_payment]
