"""HTTP of bills."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.care.bills import queries, service
from yimatong.care.bills.schemas import BillView, NewBill, NewBillOrder, VisitBills
from yimatong.care.errors import BillExists, BillNotFound, BillNotPayable, VisitNotFound
from yimatong.care.placed import PlacedBill
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ItemsDoNotAddUp, OrderExists

OwnNumber = Annotated[
    str, PathParameter(pattern="^[A-Za-z0-9_.-]{1,64}(?!\\n)$", description="the institution's own number")
]


@post(
    "/api/v1/bills",
    permission="bills:write",
    status_code=201,
    responses=documented(PlacedBill, VisitNotFound, BillExists, OrderExists, ItemsDoNotAddUp),
)
async def book_bill(
    data: JSONBody[NewBill], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """账单入账. Book a bill of a visit; the answer has its order and a link to the cashier page."""
    return await call.write(lambda tx: service.book(tx, data, desk=desk, caller=call.caller, now=call.now))


@get(
    "/api/v1/bills/{bill_no:str}",
    permission="bills:read",
    reads="personal",
    responses=documented(BillView, BillNotFound, status=200),
)
async def read_bill(bill_no: OwnNumber, call: NamedDependency[Call]) -> BillView:
    """查询账单. Read a bill."""
    return await call.read(lambda tx: queries.find(tx, bill_no, scope=call.caller.scope))


@get(
    "/api/v1/visits/{visit_no:str}/bills",
    permission="bills:read",
    reads="personal",
    responses=documented(VisitBills, VisitNotFound, status=200),
)
async def list_bills(visit_no: OwnNumber, call: NamedDependency[Call]) -> VisitBills:
    """就诊账单列表. List the bills of a visit."""
    return await call.read(lambda tx: queries.of_visit(tx, visit_no, scope=call.caller.scope))


@post(
    "/api/v1/bills/{bill_no:str}/orders",
    permission="bills:write",
    status_code=201,
    responses=documented(PlacedBill, BillNotFound, BillNotPayable),
)
async def order_bill_again(
    bill_no: OwnNumber, data: JSONBody[NewBillOrder], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """账单重新发起支付. Give a bill whose order expired unpaid a new order."""
    return await call.write(
        lambda tx: service.order_again(tx, bill_no, data, desk=desk, caller=call.caller, now=call.now)
    )


ROUTES = [book_bill, read_bill, list_bills, order_bill_again]
