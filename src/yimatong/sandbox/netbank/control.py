"""The control port of the simulated banks. Tests, drills and the demonstration use it; production code never."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.sandbox.netbank.notify import WAITS_S, deliver
from yimatong.sandbox.netbank.rows import BankRefusal, Conditions, Faults, Merchant, Notice, Order, Refund
from yimatong.sandbox.netbank.wire import Wire, of
from yimatong.sandbox.notifying import again


class KeyShown(msgspec.Struct, frozen=True):
    """What a merchant configures to verify answers and notices."""

    bank_public_key_pem: str


class PayOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which order, that a browser has brought, its payer pays or fails to pay."""

    orderid: str
    succeeds: bool = True


class SendAgain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send a notice again now, whatever became of it."""

    notice_id: str


@post("/control/netbank/merchants", status_code=200)
async def register(request: Wire, data: JSONBody[Merchant]) -> KeyShown:
    """Admit a merchant, or replace its certificate."""
    of(request).register(data)
    await of(request).store.flush()
    return KeyShown(of(request).key.public_pem)


@post("/control/netbank/pay", status_code=200)
async def pay(request: Wire, data: JSONBody[PayOrder]) -> Notice:
    """Pay an order as its payer would; the notice is sent before this answers, unless it is to be late."""
    banks = of(request)
    found = [order for order in banks.orders if order.orderid == data.orderid]
    if len(found) != 1:
        raise BankRefusal(code="ORDER_NOT_FOUND", message=f"{len(found)} orders have this number")
    notice = banks.pay(found[0], now=clock.now(), succeeds=data.succeeds)
    await banks.store.flush()
    if notice.state == "pending" and not banks.conditions.notice_delay_s:
        async with Outbound(connect_s=2.0, read_s=WAITS_S) as outbound:
            notice = await deliver(banks, outbound, notice)
    return notice


@post("/control/netbank/faults", status_code=200)
async def set_faults(request: Wire, data: JSONBody[Faults]) -> Faults:
    """Replace all faults; an empty object ends them."""
    of(request).faults = data
    return data


@post("/control/netbank/conditions", status_code=200)
async def set_conditions(request: Wire, data: JSONBody[Conditions]) -> Conditions:
    """Replace all lasting conditions."""
    of(request).set_conditions(data)
    await of(request).store.flush()
    return data


@get("/control/netbank/orders")
async def orders(request: Wire) -> list[Order]:
    """List orders."""
    return list(of(request).orders)


@get("/control/netbank/refunds")
async def refunds(request: Wire) -> list[Refund]:
    """List refunds."""
    return list(of(request).refunds)


@get("/control/netbank/notices")
async def notices(request: Wire) -> list[dict[str, Any]]:
    """List notices."""
    return [msgspec.to_builtins(notice) for notice in of(request).notices]


@post("/control/netbank/notices/send-again", status_code=200)
async def send_again(request: Wire, data: JSONBody[SendAgain]) -> Notice:
    """Send a notice again: dropped, given up or delivered before."""
    banks = of(request)
    notice = again(
        banks.notices, data.notice_id, unknown=BankRefusal(code="NOTICE_NOT_FOUND", message="no such notice")
    )
    banks.save_notice(notice)
    await banks.store.flush()
    return notice


HANDLERS: list[HTTPRouteHandler] = [
    register,
    pay,
    set_faults,
    set_conditions,
    orders,
    refunds,
    notices,
    send_again,
]
