"""The control port of the simulated UnionPay. Tests, drills and the demonstration use it; production code never."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody

from yimatong.kit import clock
from yimatong.sandbox.notifying import again
from yimatong.sandbox.unionpay import settling
from yimatong.sandbox.unionpay.rows import (
    ClosedDay,
    Conditions,
    Faults,
    Merchant,
    Message,
    Notice,
    Opening,
    Transaction,
    WireError,
)
from yimatong.sandbox.unionpay.state import UnionPay

Control = Request[Any, Any, Any]


class Certificates(msgspec.Struct, frozen=True):
    """What a merchant configures to verify UnionPay and to encrypt for it."""

    root_cert_pem: str
    middle_cert_pem: str
    encrypt_cert_pem: str


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which transaction; ``mer_id`` when two merchants use the same number. ``code`` lets it fail instead."""

    order_id: str
    mer_id: str = ""
    code: str = ""


class SettleBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bring a refund to an end now: ``done`` or ``failed``."""

    order_id: str
    state: str = "done"


class CloseDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which settlement date to close, and the differences to plant."""

    date: date
    seed: int = 0
    kinds: tuple[str, ...] = settling.KINDS
    count: int = 1
    mer_id: str = ""


class SendAgain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send a notice again now, whatever became of it."""

    notice_id: str


def _unionpay(request: Control) -> UnionPay:
    found: UnionPay = request.app.state.unionpay
    return found


def _one(unionpay: UnionPay, named: Named) -> Transaction:
    found = unionpay.named(named.order_id, named.mer_id)
    if len(found) != 1:
        raise WireError(code="34", detail=f"{len(found)} transactions have this number")
    return found[0]


def certificates(unionpay: UnionPay) -> Certificates:
    """Return the certificates that a merchant needs."""
    pem = unionpay.authority.pem
    return Certificates(pem["root"], pem["middle"], pem["encrypt"])


@post("/control/unionpay/merchants", status_code=200)
async def register(request: Control, data: JSONBody[Merchant]) -> Certificates:
    """Admit a merchant, or replace its keys."""
    unionpay = _unionpay(request)
    unionpay.register(data)
    await unionpay.store.flush()
    return certificates(unionpay)


@get("/control/unionpay/transactions")
async def transactions(
    request: Control, mer_id: FromQuery[str] = "", standing: FromQuery[str] = ""
) -> list[Transaction]:
    """List payments, refunds and voids, by merchant and state if asked."""
    found = _unionpay(request).transactions
    return [each for each in found if mer_id in ("", each.mer_id) and standing in ("", each.state)]


@post("/control/unionpay/pay", status_code=200)
async def pay(request: Control, data: JSONBody[Named]) -> Transaction:
    """Pay as the payer would, or let the payment fail with an 应答码."""
    unionpay = _unionpay(request)
    payment = _one(unionpay, data)
    now = clock.now()
    decided = unionpay.fail(payment, data.code, now=now) if data.code else unionpay.pay(payment, now=now)
    await unionpay.store.flush()
    return decided


@post("/control/unionpay/settle-refund", status_code=200)
async def settle_refund(request: Control, data: JSONBody[SettleBack]) -> Transaction:
    """End a refund now."""
    unionpay = _unionpay(request)
    if data.state not in ("done", "failed"):
        raise WireError(code="10", detail="state must be done or failed")
    settled = unionpay.settle(_one(unionpay, Named(data.order_id)), data.state, now=clock.now())
    await unionpay.store.flush()
    return settled


@get("/control/unionpay/messages")
async def messages(request: Control) -> list[Message]:
    """Show every SMS code that was sent."""
    return list(_unionpay(request).cards.messages)


@get("/control/unionpay/openings")
async def openings(request: Control) -> list[Opening]:
    """Show the openings of quick payment."""
    return list(_unionpay(request).cards.openings)


@post("/control/unionpay/close-day", status_code=200)
async def close_day(request: Control, data: JSONBody[CloseDay]) -> ClosedDay:
    """Write the files of a settlement date, with differences planted in them."""
    unionpay = _unionpay(request)
    closed = settling.close_day(
        unionpay, data.date, kinds=data.kinds, count=data.count, seed=data.seed, mer_id=data.mer_id
    )
    await unionpay.store.flush()
    return closed


@get("/control/unionpay/faults")
async def faults(request: Control) -> Faults:
    """Return what is still to go wrong."""
    return _unionpay(request).faults


@post("/control/unionpay/faults", status_code=200)
async def set_faults(request: Control, data: JSONBody[Faults]) -> Faults:
    """Replace all faults; an empty object ends them."""
    _unionpay(request).faults = data
    return data


@get("/control/unionpay/conditions")
async def conditions(request: Control) -> Conditions:
    """Return the clock's offset and the pace of notices and refunds."""
    return _unionpay(request).conditions


@post("/control/unionpay/conditions", status_code=200)
async def set_conditions(request: Control, data: JSONBody[Conditions]) -> Conditions:
    """Replace the lasting conditions."""
    unionpay = _unionpay(request)
    unionpay.set_conditions(data)
    await unionpay.store.flush()
    return data


@get("/control/unionpay/notices")
async def notices(request: Control) -> list[Notice]:
    """List notices and what became of them."""
    return list(_unionpay(request).notices)


@post("/control/unionpay/notices/send-again", status_code=200)
async def send_again(request: Control, data: JSONBody[SendAgain]) -> Notice:
    """Send a notice again now."""
    unionpay = _unionpay(request)
    notice = again(unionpay.notices, data.notice_id, unknown=WireError(code="34", detail="no such notice"))
    unionpay.save_notice(notice)
    await unionpay.store.flush()
    return notice


HANDLERS: list[HTTPRouteHandler] = [
    register,
    transactions,
    pay,
    settle_refund,
    messages,
    openings,
    close_day,
    faults,
    set_faults,
    conditions,
    set_conditions,
    notices,
    send_again,
]
