"""HTTP of deliveries."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.payments.deliveries import queries, service
from yimatong.payments.deliveries.schemas import Deliveries, Replayed
from yimatong.payments.errors import DeliveryNotParked, OrderNotFound


@get(
    "/api/v1/orders/{order_no:str}/deliveries",
    permission="orders:read",
    responses=documented(Deliveries, OrderNotFound, status=200),
)
async def list_deliveries(order_no: FromPath[str], call: NamedDependency[Call]) -> Deliveries:
    """推送记录. What was told of an order, to whom, and what became of each try."""
    return await call.read(lambda tx: queries.of_order(tx, order_no, scope=call.caller.scope))


@post(
    "/api/v1/orders/{order_no:str}/deliveries/{message_id:int}/replay",
    permission="orders:write",
    status_code=200,
    responses=documented(Replayed, OrderNotFound, DeliveryNotParked, status=200, keyed=True),
)
async def replay_delivery(
    order_no: FromPath[str],
    message_id: Annotated[int, PathParameter(ge=1, le=2**63 - 1)],
    call: NamedDependency[Call],
) -> Response[bytes]:
    """重新推送. Give a parked message of an order another round of tries."""
    return await call.write(
        lambda tx: service.replay(tx, order_no, message_id, scope=call.caller.scope, now=call.now), status=200
    )


ROUTES = [list_deliveries, replay_delivery]
