"""HTTP of payables."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import AccountNotFound
from yimatong.care.errors import BillBusy, BillNotFound, BillNotPayable, BillStandsAlone
from yimatong.care.payables import queries, service
from yimatong.care.payables.schemas import NewPayablesOrder, Payables, PayablesOrder
from yimatong.kit.db import Connection
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AppTimeOver,
    ProofWrong,
    ServiceChannelNotFound,
    ServiceChannelOff,
    TerminalNotOfChannel,
)


@get(
    "/api/v1/payables",
    permission="payables:read",
    reads="personal",
    responses=documented(Payables, AccountNotFound, status=200),
)
async def list_payables(
    call: NamedDependency[Call],
    vuid: Annotated[str, QueryParameter(pattern="^[0-9A-F]{64}(?!\\n)$")],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    cursor: Annotated[str, QueryParameter(max_length=400, pattern="^[A-Za-z0-9_-]*(?!\\n)$")] = "",
) -> Payables:
    """待缴费用：本人及家庭成员. What a resident has to pay, and by an app what those whom she cares for have to pay."""

    async def find(tx: Connection) -> Payables:
        whose = await queries.patients(tx, call.vault, vuid, caller=call.caller, now=call.now)
        return await queries.page(tx, whose, caller=call.caller, limit=limit, cursor=cursor)

    return await call.read(find)


@post(
    "/api/v1/payables/orders",
    permission="payables:pay",
    reads="personal",
    status_code=201,
    responses=documented(
        PayablesOrder,
        AccountNotFound,
        BillNotFound,
        BillNotPayable,
        BillBusy,
        BillStandsAlone,
        AppTimeOver,
        ServiceChannelNotFound,
        ServiceChannelOff,
        TerminalNotOfChannel,
        ProofWrong,
        keyed=False,
    ),
)
async def order_payables(
    data: JSONBody[NewPayablesOrder], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> PayablesOrder:
    """合并支付. One order for several bills of one hospital; the same bills again go on with it, without a key."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await service.order(desk, data, caller=call.caller, now=call.now)


ROUTES = [list_payables, order_payables]
