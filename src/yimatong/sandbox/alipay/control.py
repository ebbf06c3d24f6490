"""The control port of the simulated Alipay. Tests, drills and the demonstration use it; production code never."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody

from yimatong.kit import clock
from yimatong.sandbox.alipay import agreements, days, returns
from yimatong.sandbox.alipay.requests import Place, parse
from yimatong.sandbox.alipay.rows import (
    Agreement,
    AlipayError,
    Conditions,
    Faults,
    Merchant,
    Notice,
    Refund,
    Trade,
)
from yimatong.sandbox.alipay.state import AlipayBooks
from yimatong.sandbox.alipay.wire import verified
from yimatong.sandbox.notifying import again

Control = Request[Any, Any, Any]
_ONE_EACH = ("amount", "channel_only", "platform_only", "fee", "duplicate")


class KeyShown(msgspec.Struct, frozen=True):
    """What a merchant configures to verify replies and notices."""

    alipay_public_key_pem: str


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which trade; ``app_id`` when two apps use the same number."""

    out_trade_no: str
    app_id: str = ""


class AppOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a native app handed to Alipay's SDK."""

    order_string: str


class SettleRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bring a refund to an end now: ``REFUND_SUCCESS`` or ``FAILED``; ``dback_status`` of a bank card: S, F, P."""

    out_trade_no: str
    out_request_no: str
    app_id: str
    status: str = "REFUND_SUCCESS"
    dback_status: str = ""


class WhichAgreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which agreement, by the merchant's number."""

    external_agreement_no: str
    app_id: str


class CloseDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which Beijing day to close, and the differences to plant: ``count`` of each of ``kinds``, drawn by ``seed``."""

    date: date
    seed: int = 0
    kinds: tuple[str, ...] = _ONE_EACH
    count: int = 1


class DayClosed(msgspec.Struct, frozen=True, kw_only=True):
    """What was planted, for the test to look for; ``short`` counts by kind what found no row."""

    date: str
    bills: list[str]
    planted: list[dict[str, Any]]
    short: dict[str, int]


class SendAgain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send a notice again now, whatever became of it."""

    notice_id: str


def _books(request: Control) -> AlipayBooks:
    found: AlipayBooks = request.app.state.alipay
    return found


def _named(books: AlipayBooks, which: Which) -> Trade:
    found = [
        trade
        for merchant in books.merchants
        if which.app_id in ("", merchant.app_id)
        for trade in (books.trades.get(f"{merchant.app_id}/{which.out_trade_no}"),)
        if trade is not None
    ]
    if len(found) != 1:
        raise AlipayError(40004, "ACQ.TRADE_NOT_EXIST", f"{len(found)} trades have this number")
    return found[0]


@get("/control/alipay/platform-key")
async def platform_key(request: Control) -> KeyShown:
    """Return Alipay's public key."""
    return KeyShown(_books(request).key.public_pem)


@post("/control/alipay/merchants", status_code=200)
async def register(request: Control, data: JSONBody[Merchant]) -> KeyShown:
    """Admit an app, or replace its key."""
    books = _books(request)
    books.register(data)
    await books.store.flush()
    return KeyShown(books.key.public_pem)


@get("/control/alipay/trades")
async def trades(request: Control, app_id: FromQuery[str] = "") -> list[Trade]:
    """List trades, by app if asked; those that nobody has scanned as well."""
    return [each for each in _books(request).trades if app_id in ("", each.app_id)]


@get("/control/alipay/refunds")
async def refunds(request: Control, app_id: FromQuery[str] = "") -> list[Refund]:
    """List refunds, by app if asked."""
    return [each for each in _books(request).refunds if app_id in ("", each.app_id)]


@post("/control/alipay/pay", status_code=200)
async def pay(request: Control, data: JSONBody[Which]) -> dict[str, Any]:
    """Pay a trade as its payer would: scan what was offered, enter the password."""
    books = _books(request)
    paid = books.pay(_named(books, data), now=clock.now())
    await books.store.flush()
    return paid.answer()


@post("/control/alipay/app-pay", status_code=200)
async def app_pay(request: Control, data: JSONBody[AppOrder]) -> dict[str, Any]:
    """Do what Alipay's app does with an order string: verify it, let the payer arrive and pay."""
    books = _books(request)
    parameters = dict(parse_qsl(data.order_string, keep_blank_values=True))
    call = verified(books, parameters, "", window=False)
    if parameters.get("method") != "alipay.trade.app.pay":
        raise AlipayError(40002, "isv.invalid-method", "不存在的方法名")
    asked = parse(call.biz, Place)
    trade = books.place(call.merchant, parameters["method"], asked, urls=call.urls, offered=False, now=call.now)
    paid = books.pay(trade, now=call.now)
    await books.store.flush()
    return paid.answer()


@post("/control/alipay/finish", status_code=200)
async def finish(request: Control, data: JSONBody[Which]) -> dict[str, Any]:
    """End the time in which a trade can be refunded (TRADE_FINISHED)."""
    books = _books(request)
    finished = books.finish(_named(books, data), now=clock.now())
    await books.store.flush()
    return finished.answer()


@post("/control/alipay/settle-refund", status_code=200)
async def settle_refund(request: Control, data: JSONBody[SettleRefund]) -> Refund:
    """End a refund now."""
    books = _books(request)
    key = f"{data.app_id}/{data.out_trade_no}/{data.out_request_no}"
    made = books.refunds.get(key)
    if made is None or data.status not in (returns.SUCCEEDED, returns.FAILED):
        raise AlipayError(40004, "ACQ.INVALID_PARAMETER", "no such refund or status")
    returns.settle(books, made, data.status, now=clock.now(), dback_status=data.dback_status)
    await books.store.flush()
    return books.refunds.get(key) or made


@get("/control/alipay/agreements")
async def list_agreements(request: Control, app_id: FromQuery[str] = "") -> list[Agreement]:
    """List agreements, by app if asked; those that nobody has agreed to as well."""
    return [each for each in _books(request).agreements if app_id in ("", each.app_id)]


@post("/control/alipay/agree", status_code=200)
async def agree(request: Control, data: JSONBody[WhichAgreement]) -> Agreement:
    """Agree as the payer would; the page must have been opened."""
    books = _books(request)
    page = books.agreements.get(f"{data.app_id}/{data.external_agreement_no}")
    if page is None:
        raise AlipayError(40004, "USER_AGREEMENT_NOT_EXIST", "nobody has opened the page")
    agreed = agreements.agree(books, page, now=clock.now())
    await books.store.flush()
    return agreed


@post("/control/alipay/close-day", status_code=200)
async def close_day(request: Control, data: JSONBody[CloseDay]) -> DayClosed:
    """Write the bills of a day, with differences planted in them."""
    books = _books(request)
    closed, short = await days.close_day(books, data.date, seed=data.seed, kinds=data.kinds, count=data.count)
    await books.store.flush()
    return DayClosed(date=closed.date, bills=closed.files, planted=closed.planted, short=short)


@get("/control/alipay/faults")
async def faults(request: Control) -> Faults:
    """Return what is still to go wrong."""
    return _books(request).faults


@post("/control/alipay/faults", status_code=200)
async def set_faults(request: Control, data: JSONBody[Faults]) -> Faults:
    """Replace all faults; an empty object ends them."""
    _books(request).faults = data
    return data


@get("/control/alipay/conditions")
async def conditions(request: Control) -> Conditions:
    """Return clock offset and the pace of notices and refunds."""
    return _books(request).conditions


@post("/control/alipay/conditions", status_code=200)
async def set_conditions(request: Control, data: JSONBody[Conditions]) -> Conditions:
    """Replace all lasting conditions."""
    books = _books(request)
    books.set_conditions(data)
    await books.store.flush()
    return data


@get("/control/alipay/notices")
async def notices(request: Control, app_id: FromQuery[str] = "", sent: FromQuery[str] = "") -> list[Notice]:
    """List notices, by app and state (``sent``) if asked."""
    return [each for each in _books(request).notices if app_id in ("", each.app_id) and sent in ("", each.state)]


@post("/control/alipay/notices/send-again", status_code=200)
async def send_again(request: Control, data: JSONBody[SendAgain]) -> Notice:
    """Queue a notice again: dropped, given up or delivered before."""
    books = _books(request)
    notice = again(books.notices, data.notice_id, unknown=AlipayError(40004, "ACQ.INVALID_PARAMETER", "no such notice"))
    books.save_notice(notice)
    await books.store.flush()
    return notice


HANDLERS: list[HTTPRouteHandler] = [
    platform_key,
    register,
    trades,
    refunds,
    pay,
    app_pay,
    finish,
    settle_refund,
    list_agreements,
    agree,
    close_day,
    faults,
    set_faults,
    conditions,
    set_conditions,
    notices,
    send_again,
]


def refused(_request: Control, error: AlipayError) -> Response[dict[str, str]]:
    """Answer a control call that could not be done."""
    return Response(error.answer(), status_code=409)
