"""HTTP of refunds."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from yimatong.access.edge import Call, documented
from yimatong.payments.errors import (
    OrderNotFound,
    OrderNotRefundable,
    RefundExceedsPaid,
    RefundNotFound,
    RefundNumberReused,
    RefundsExhausted,
)
from yimatong.payments.refunds import queries, service
from yimatong.payments.refunds.schemas import NewRefund, RefundView


@post(
    "/api/v1/refunds",
    permission="refunds:write",
    status_code=201,
    responses=documented(
        RefundView, OrderNotFound, OrderNotRefundable, RefundExceedsPaid, RefundNumberReused, RefundsExhausted
    ),
)
async def ask_refund(data: JSONBody[NewRefund], call: NamedDependency[Call]) -> Response[bytes]:
    """申请退款. Ask for a refund; the platform takes it to the channel at once and tells the institution's system."""
    return await call.write(lambda tx: service.ask(tx, data, caller=call.caller, now=call.now))


@get(
    "/api/v1/refunds/{refund_no:str}",
    permission="refunds:read",
    responses=documented(RefundView, RefundNotFound, status=200),
)
async def read_refund(refund_no: FromPath[str], call: NamedDependency[Call]) -> RefundView:
    """查询退款. Read a refund."""
    return await call.read(lambda tx: queries.find(tx, refund_no, scope=call.caller.scope))


ROUTES = [ask_refund, read_refund]
