"""HTTP of the cashier for native apps and kiosks; the page for browsers is in ``web``."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from yimatong.access.edge import Call, documented
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments.cashier import queries, service
from yimatong.payments.cashier.schemas import CashierView, NewAttempt, StartedAttempt
from yimatong.payments.cashier.sharing import Shared
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AppTimeOver,
    AttemptsExhausted,
    AttemptUnderWay,
    ChannelNotOffered,
    ChannelRefused,
    LegNotFound,
    LegPending,
    OrderExpired,
    OrderNotFound,
    OrderNotPayable,
    SceneNotOffered,
)
from yimatong.payments.orders.schemas import OrderStateView


@get(
    "/api/v1/orders/{order_no:str}/cashier",
    permission="orders:pay",
    reads="personal",
    responses=documented(CashierView, OrderNotFound, status=200),
)
async def read_cashier(
    order_no: FromPath[str], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> CashierView:
    """收银台内容. What a cashier shows for an order."""
    return await call.read(lambda tx: queries.view(tx, desk, order_no, scope=call.caller.scope))


@post(
    "/api/v1/orders/{order_no:str}/attempts",
    permission="orders:pay",
    status_code=201,
    responses=documented(
        StartedAttempt,
        OrderNotFound,
        OrderNotPayable,
        OrderExpired,
        ChannelNotOffered,
        SceneNotOffered,
        AppTimeOver,
        AttemptUnderWay,
        AttemptsExhausted,
        LegNotFound,
        LegPending,
        ChannelRefused,
        PartyUnreachable,
        PartyOutcomeUnknown,
        keyed=False,
    ),
)
async def start_attempt(
    order_no: FromPath[str],
    data: JSONBody[NewAttempt],
    call: NamedDependency[Call],
    desk: NamedDependency[Desk],
    starts: NamedDependency[Shared],
) -> StartedAttempt:
    """发起支付. Start a payment; the same channel and scene again goes on with the open attempt, without a key."""
    return await service.start_attempt(
        desk,
        order_no,
        data,
        scope=call.caller.scope,
        at_counter=call.caller.at_counter,
        note=call.noting(),
        shared=starts,
        now=call.now,
    )


@post(
    "/api/v1/orders/{order_no:str}/take-back",
    permission="orders:pay",
    status_code=200,
    responses=documented(OrderStateView, OrderNotFound, status=200),
)
async def take_back(
    order_no: FromPath[str], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> OrderStateView:
    """撤销未完成的支付. Close or reverse what is under way at the channels; the order can be paid in another way."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await service.take_back(desk, order_no, scope=call.caller.scope, now=call.now)


@post(
    "/api/v1/orders/{order_no:str}/refresh",
    permission="orders:pay",
    status_code=200,
    responses=documented(OrderStateView, OrderNotFound, status=200),
)
async def refresh_order(
    order_no: FromPath[str], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> OrderStateView:
    """主动查询支付结果. Ask the channel now and answer where the order stands."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await service.refresh(desk, order_no, scope=call.caller.scope, now=call.now)


ROUTES = [read_cashier, start_attempt, take_back, refresh_order]
