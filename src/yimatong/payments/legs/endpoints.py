"""HTTP of insurance parts."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AppTimeOver,
    AttemptUnderWay,
    ChannelNotOffered,
    ChannelRefused,
    LegDoesNotFit,
    LegNotFound,
    LegNotOffered,
    LegSettled,
    OrderExpired,
    OrderNotFound,
    OrderNotPayable,
)
from yimatong.payments.legs import queries, service
from yimatong.payments.legs.schemas import NewLeg, SharedOrder

PartInPath = Annotated[str, PathParameter(pattern="^(insurance|commercial)(?!\\n)$")]
_NOT_OPEN = (OrderNotFound, OrderNotPayable, OrderExpired, LegSettled, AttemptUnderWay)


@post(
    "/api/v1/orders/{order_no:str}/legs",
    permission="orders:pay",
    reads="personal",
    status_code=200,
    responses=documented(
        SharedOrder,
        *_NOT_OPEN,
        AppTimeOver,
        ChannelNotOffered,
        LegNotOffered,
        LegDoesNotFit,
        ChannelRefused,
        PartyUnreachable,
        PartyOutcomeUnknown,
        status=200,
    ),
)
async def presettle(
    order_no: FromPath[str], data: JSONBody[NewLeg], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> SharedOrder:
    """预结算：询问医保或商保支付的部分. Ask an insurer what it pays; asking again replaces it, without a key."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await service.presettle(
        desk, order_no, data, scope=call.caller.scope, at_counter=call.caller.at_counter, now=call.now
    )


@get(
    "/api/v1/orders/{order_no:str}/legs",
    permission="orders:pay",
    responses=documented(SharedOrder, OrderNotFound, status=200),
)
async def read_legs(order_no: FromPath[str], call: NamedDependency[Call]) -> SharedOrder:
    """查询订单各部分. How an order is shared between insurers and the payer."""
    return await call.read(lambda tx: queries.shared(tx, order_no, scope=call.caller.scope))


@post(
    "/api/v1/orders/{order_no:str}/legs/{part:str}/drop",
    permission="orders:pay",
    status_code=200,
    responses=documented(SharedOrder, *_NOT_OPEN, LegNotFound, status=200, keyed=True),
)
async def drop_leg(order_no: FromPath[str], part: PartInPath, call: NamedDependency[Call]) -> Response[bytes]:
    """放弃医保或商保部分. Leave an insurer out again: the payer pays all by herself."""
    return await call.write(
        lambda tx: service.drop(tx, order_no, part, scope=call.caller.scope, now=call.now), status=200
    )


ROUTES = [presettle, read_legs, drop_leg]
