"""HTTP of orders."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from yimatong.access.edge import Call, documented
from yimatong.access.shared import SharedWrite
from yimatong.kit.db import Batch
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    ItemsDoNotAddUp,
    OrderExists,
    OrderExpired,
    OrderNotClosable,
    OrderNotFound,
    OrderNotPayable,
    ProofWrong,
    ServiceChannelNotFound,
    ServiceChannelOff,
    TerminalNotOfChannel,
)
from yimatong.payments.orders import queries, service
from yimatong.payments.orders.placing import Placement, is_plain
from yimatong.payments.orders.schemas import (
    CashierLink,
    NewOrder,
    OrderPage,
    OrderStateView,
    OrderView,
    PlacedOrder,
)
from yimatong.payments.states import OrderState

Placements = Batch[SharedWrite[Placement], tuple[int, bytes]]
"""The shared path of placing: many in one transaction."""


@post(
    "/api/v1/orders",
    permission="orders:write",
    status_code=201,
    responses=documented(
        PlacedOrder,
        ItemsDoNotAddUp,
        OrderExists,
        ServiceChannelNotFound,
        ServiceChannelOff,
        TerminalNotOfChannel,
        ProofWrong,
    ),
)
async def place_order(
    data: JSONBody[NewOrder],
    call: NamedDependency[Call],
    desk: NamedDependency[Desk],
    placements: NamedDependency[Placements],
) -> Response[bytes]:
    """下单：机构直接提交支付订单. Place an order; the answer has a link to the cashier page."""
    if is_plain(data):
        return await call.write_shared(placements, Placement(new=data, caller=call.caller, now=call.now))
    return await call.write(lambda tx: service.place(tx, data, desk=desk, caller=call.caller, now=call.now))


@get(
    "/api/v1/orders/{order_no:str}",
    permission="orders:read",
    reads="personal",
    responses=documented(OrderView, OrderNotFound, status=200),
)
async def read_order(order_no: FromPath[str], call: NamedDependency[Call]) -> OrderView:
    """查询订单. Read an order with its refunds."""
    return await call.read(lambda tx: queries.find(tx, order_no, scope=call.caller.scope))


@get("/api/v1/orders", permission="orders:read", reads="personal", responses=documented(OrderPage, status=200))
async def list_orders(
    call: NamedDependency[Call],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    cursor: Annotated[str, QueryParameter(max_length=120, pattern="^[A-Za-z0-9_-]*(?!\\n)$")] = "",
    source_no: Annotated[str, QueryParameter(max_length=64, pattern="^[A-Za-z0-9_.-]*(?!\\n)$")] = "",
    order_state: Annotated[OrderState | None, QueryParameter(name="state")] = None,
) -> OrderPage:
    """订单列表. List one's own orders, newest first; by the institution's own number or by state."""
    return await call.read(
        lambda tx: queries.page(
            tx, scope=call.caller.scope, limit=limit, cursor=cursor, source_id=source_no, state=order_state or ""
        )
    )


@post(
    "/api/v1/orders/{order_no:str}/cashier-links",
    permission="orders:write",
    status_code=201,
    responses=documented(CashierLink, OrderNotFound, OrderNotPayable, OrderExpired),
)
async def make_cashier_link(
    order_no: FromPath[str], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """重新获取收银台链接. Make another link to the cashier page."""
    return await call.write(
        lambda tx: service.new_cashier_link(tx, order_no, desk=desk, scope=call.caller.scope, now=call.now)
    )


@post(
    "/api/v1/orders/{order_no:str}/close",
    permission="orders:write",
    status_code=200,
    responses=documented(OrderStateView, OrderNotFound, OrderNotClosable, status=200),
)
async def close_order(
    order_no: FromPath[str], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> OrderStateView:
    """关闭订单. Close an order; closing it again answers the same, so no idempotency key is needed."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await service.close(desk, order_no, scope=call.caller.scope, now=call.now)


ROUTES = [place_order, read_order, list_orders, make_cashier_link, close_order]
