"""The finance clerk's pages: orders and what became of them; what reconciliation found."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter

from yimatong.access import callers
from yimatong.kit import audit
from yimatong.kit.clock import day_bounds
from yimatong.kit.db import Connection
from yimatong.payments.deliveries import queries as deliveries
from yimatong.payments.deliveries import service
from yimatong.payments.orders import queries as orders
from yimatong.payments.service_channels import queries as services
from yimatong.web.console import causes, filters, hospitals
from yimatong.web.console.channels import known_channels
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

STATES: Final = ("created", "paying", "paid", "partly_refunded", "refunded", "closing", "closed")
_PATH = "/console/payments"
REPLAY: Final = "console:deliveries"
MessageInPath = Annotated[str, PathParameter(pattern="^[1-9][0-9]{0,17}(?!\\n)$")]


@get(_PATH, session="console", permission="console:payments", include_in_schema=False)
async def list_payments(page: NamedDependency[Page]) -> Response[str]:
    """Show a page of orders, newest first."""
    day = filters.day(page)
    start, end = day_bounds(day) if day else (None, None)
    wanted = {
        "day": day.isoformat() if day else "",
        "state": filters.choice(page, "state", STATES),
        "channel": filters.choice(page, "channel", known_channels(page)),
        "number": filters.words(page, "number"),
        "institution": filters.words(page, "institution"),
    }
    cursor = filters.words(page, "after")

    async def look(tx: Connection) -> dict[str, Any]:
        which = await hospitals.typed(tx, page)
        found = await orders.page(
            tx,
            scope=page.scope,
            limit=filters.PAGE_ROWS,
            cursor=cursor,
            state=wanted["state"],
            sought=orders.Sought(
                institution_id=which.institution_id,
                number=wanted["number"],
                channel=wanted["channel"],
                start=start,
                end=end,
            ),
        )
        following = filters.address(_PATH, **wanted, after=found.next) if found.next else ""
        names = await callers.names(tx, {row.institution_id for row in found.orders})
        return {"rows": found.orders, "which": which, "names": names, "following": following}

    return page.html(
        "console/payments.html",
        **shell(page, "payments"),
        **await page.read(look),
        wanted=wanted,
        states=STATES,
        known=known_channels(page),
        first=filters.address(_PATH, **wanted) if cursor else "",
    )


@get(f"{_PATH}/{{order_no:str}}", session="console", permission="console:payments", include_in_schema=False)
async def show_payment(order_no: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Show one order with its items and refunds; another institution's answers like an absent one."""

    async def look(tx: Connection) -> dict[str, Any]:
        order = await orders.find(tx, order_no, scope=page.scope)
        told = await deliveries.of_order(tx, order_no, scope=page.scope)
        receivers = {each.receiver for message in told.messages for each in message.tries}
        return {
            "order": order,
            "institution": await callers.institution_name(tx, order.institution_id),
            "told": told.messages,
            "causes": causes.told({each.cause for message in told.messages for each in message.tries}, page.language),
            "receivers": await callers.names(tx, receivers) | await services.names(tx, receivers),
        }

    return page.html(
        "console/payment.html",
        **shell(page, "payments"),
        **await page.read(look),
        may_replay=REPLAY in page.operator.permissions,
    )


@post(
    f"{_PATH}/{{order_no:str}}/deliveries/{{message:str}}/replay",
    session="console",
    permission=REPLAY,
    status_code=200,
    include_in_schema=False,
)
async def replay(order_no: FromPath[str], message: MessageInPath, page: NamedDependency[Page]) -> Response[None]:
    """Give a parked message of an order another round of tries; the audit says who did."""

    async def verb(tx: Connection) -> None:
        await service.replay(tx, order_no, int(message), scope=page.scope, now=page.now)
        await audit.record(
            tx,
            actor=page.operator.operator_id,
            institution_id=page.operator.institution_id,
            action="outbox:replay",
            object_kind="outbox",
            object_id=message,
            request_id=page.request_id,
            now=page.now,
            detail=order_no,
        )

    await page.write(verb)
    return page.go(f"{_PATH}/{order_no}#told")


ROUTES = [list_payments, show_payment, replay]
