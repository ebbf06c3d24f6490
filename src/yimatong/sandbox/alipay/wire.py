"""The gateway: every request verified, every reply signed over its node's own text.

Methods, fields and codes: opendocs.alipay.com. ``wap.pay``, ``page.pay`` and ``agreement.page.sign`` are opened by a
payer's browser and answered by a page; the others are answered by JSON.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response, get, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery

from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.alipay import agreements, days, pages, returns
from yimatong.sandbox.alipay.keys import verify_request
from yimatong.sandbox.alipay.requests import (
    AskAgreement,
    AskBill,
    AskRefund,
    Named,
    Place,
    PlaceRefund,
    SignPage,
    parse,
)
from yimatong.sandbox.alipay.rows import WAITING, AlipayError, Merchant, Trade
from yimatong.sandbox.alipay.state import AlipayBooks

JSON = "text/html;charset=utf-8"
"""What the real gateway says of its JSON."""
TOKEN_TTL = timedelta(seconds=30)
PAGE_METHODS = ("alipay.trade.wap.pay", "alipay.trade.page.pay")
_GARBAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
Wire = Request[Any, Any, Any]
Node = dict[str, Any]


class Call(NamedTuple):
    """A verified request."""

    books: AlipayBooks
    merchant: Merchant
    parameters: dict[str, str]
    base: str
    now: datetime

    @property
    def biz(self) -> str:
        """Return the business content."""
        return self.parameters.get("biz_content", "{}")

    @property
    def urls(self) -> tuple[str, str]:
        """Return where notices go and where the payer goes back to."""
        return self.parameters.get("notify_url", ""), self.parameters.get("return_url", "")


class Download(NamedTuple):
    """What a download token stands for."""

    name: str
    expires_at: datetime


_downloads: dict[str, Download] = {}
"""Tokens live for seconds; a restart forgets them and the merchant asks again."""


@route("/alipay/gateway.do", http_method=["GET", "POST"], status_code=200)
async def gateway(request: Wire) -> Response[Any]:
    """Take any method of the open platform."""
    books: AlipayBooks = request.app.state.alipay
    parameters = {name: str(value) for name, value in request.query_params.items()}
    if request.method == "POST":
        parameters |= {name: str(value) for name, value in (await request.form()).items()}
    method = parameters.get("method", "")
    base = str(request.base_url).rstrip("/")
    if method in PAGE_METHODS or method == "alipay.user.agreement.page.sign":
        return await _page(books, parameters, base)
    return await _answer(books, method, parameters, base)


async def _answer(books: AlipayBooks, method: str, parameters: dict[str, str], base: str) -> Response[bytes]:
    """Verify, act, make durable, sign; the faults of the wire strike here."""
    faults = books.faults
    if faults.delay_s and faults.method in method:
        await asyncio.sleep(faults.delay_s)
    if faults.strikes("answer_5xx", method):
        return Response(_GARBAGE, status_code=502, media_type="text/html")
    if faults.strikes("garbage", method):
        return Response(_GARBAGE, media_type="text/html")
    node = await _acted(books, method, parameters, base)
    await books.store.flush()
    if faults.strikes("timeout_after_acting", method):
        await asyncio.sleep(faults.hang_s)
        return Response(_GARBAGE, status_code=504, media_type="text/html")
    if faults.strikes("unknown_after_acting", method):
        node = AlipayError(20000, "isp.unknow-error", "系统繁忙").answer()
    return Response(_written(books, method, node), media_type=JSON)


async def _acted(books: AlipayBooks, method: str, parameters: dict[str, str], base: str) -> Node:
    if books.faults.strikes("busy", method):
        return AlipayError(40005, "isv.app-call-limited", "应用调用次数超限").answer()
    if books.faults.strikes("unknown_without_acting", method):
        return AlipayError(20000, "isp.unknow-error", "系统繁忙").answer()
    try:
        call = verified(books, parameters, base)
        outcome = METHODS.get(method, _no_method)(call)
        return outcome if isinstance(outcome, dict) else await outcome
    except AlipayError as error:
        return error.answer()


def _no_method(call: Call) -> Node:
    raise AlipayError(40002, "isv.invalid-method", f"不存在的方法名：{call.parameters.get('method', '')[:64]}")


def _written(books: AlipayBooks, method: str, node: Node) -> bytes:
    """Return the reply's text. Like the real one it signs the node as written; a stranger's reply is not signed."""
    text = msgspec.json.encode(node).decode()
    name = f"{method.replace('.', '_')}_response" if method in METHODS else "error_response"
    faults = books.faults
    if node.get("sub_code") == "isv.invalid-app-id" or faults.strikes("unsigned_answers", method):
        return f'{{"{name}":{text}}}'.encode()
    signed = "?" + text if faults.strikes("wrong_signatures", method) else text
    sign = books.key.sign(signed.encode())
    if faults.strikes("escaped_slashes", method):
        text = text.replace("/", "\\/")
    return f'{{"{name}":{text},"sign":"{sign}"}}'.encode()


def verified(books: AlipayBooks, parameters: dict[str, str], base: str, *, window: bool = True) -> Call:
    """Return a request whose app, signature and (``window``) time stamp hold. Raises ``isv.invalid-...``."""
    merchant = books.merchants.get(parameters.get("app_id", ""))
    if merchant is None:
        raise AlipayError(40002, "isv.invalid-app-id", "无效的AppID参数")
    if parameters.get("sign_type") != "RSA2":
        raise AlipayError(40002, "isv.invalid-signature-type", "无效的签名类型")
    verify_request(parameters, public_key_pem=merchant.public_key_pem)
    now = clock.now()
    try:
        told = datetime.strptime(parameters.get("timestamp", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError as error:
        raise AlipayError(40002, "isv.invalid-timestamp", "非法的时间戳参数") from error
    off_s = abs((told.astimezone(UTC) - books.business_time(now)).total_seconds())
    if window and off_s > books.conditions.timestamp_window_s:
        raise AlipayError(40002, "isv.invalid-timestamp", "非法的时间戳参数")
    return Call(books, merchant, parameters, base, now)


async def _page(books: AlipayBooks, parameters: dict[str, str], base: str) -> Response[Any]:
    """Open a payer's page: the trade begins here, when the payer arrives."""
    try:
        call = verified(books, parameters, base, window=False)
        method = parameters["method"]
        if method in PAGE_METHODS:
            asked = parse(call.biz, Place)
            trade = books.place(call.merchant, method, asked, urls=call.urls, offered=False, now=call.now)
            shown = pages.trade_page(books, trade)
        else:
            sign = parse(call.biz, SignPage)
            shown = pages.agreement_page(
                books, agreements.offer(books, call.merchant, sign, urls=call.urls, now=call.now)
            )
    except AlipayError as error:
        return pages.problem(error)
    await books.store.flush()
    return shown


def _precreate(call: Call) -> Node:
    asked = parse(call.biz, Place)
    trade = call.books.place(
        call.merchant, call.parameters["method"], asked, urls=call.urls, offered=True, now=call.now
    )
    qr_code = f"{call.base}/alipay/qr/{trade.token}"
    return {"code": "10000", "msg": "Success", "out_trade_no": trade.out_trade_no, "qr_code": qr_code}


def _create(call: Call) -> Node:
    asked = parse(call.biz, Place)
    trade = call.books.place(
        call.merchant, call.parameters["method"], asked, urls=call.urls, offered=False, now=call.now
    )
    return {"code": "10000", "msg": "Success", "out_trade_no": trade.out_trade_no, "trade_no": trade.trade_no}


def _pay(call: Call) -> Node:
    """Take the money at once, or wait for the payer's password (10003)."""
    books, asked = call.books, parse(call.biz, Place)
    known = books.trades.get(f"{call.merchant.app_id}/{asked.out_trade_no}")
    method = call.parameters["method"]
    if asked.agreement_params is not None:
        agreements.usable(books, call.merchant, asked.agreement_params.agreement_no)
    trade = books.place(call.merchant, method, asked, urls=call.urls, offered=False, now=call.now)
    if known is None and asked.agreement_params is None:
        try:
            books.take_code(asked.auth_code)
        except AlipayError:
            books.close(trade, now=call.now)
            raise
    if known is None and books.faults.strikes("payer_too_poor"):
        books.close(trade, now=call.now)
        raise AlipayError(40004, "ACQ.BUYER_BALANCE_NOT_ENOUGH", "买家余额不足")
    waits = {"code": "10003", "msg": "order success pay inprocess", "out_trade_no": trade.out_trade_no}
    if known is not None or books.faults.strikes("wait_for_payer"):
        return waits | {"trade_no": trade.trade_no, "total_amount": plain_yuan(trade.total_fen)}
    return books.pay(trade, now=call.now).taken()


def _query(call: Call) -> Node:
    trade = call.books.trade(call.merchant, parse(call.biz, Named), now=call.now)
    if trade.paid_at is not None and call.books.faults.strikes("read_lag"):
        trade = msgspec.structs.replace(trade, status=WAITING, paid_at=None)
    return trade.answer()


def _close(call: Call) -> Node:
    trade: Trade = call.books.trade(call.merchant, parse(call.biz, Named), now=call.now)
    call.books.close(trade, now=call.now)
    return {"code": "10000", "msg": "Success", "out_trade_no": trade.out_trade_no, "trade_no": trade.trade_no}


async def _bill(call: Call) -> Node:
    asked = parse(call.biz, AskBill)
    name = await days.bill_of(call.books, call.merchant, asked, now=call.now)
    for old in [token for token, download in _downloads.items() if download.expires_at < call.now]:
        del _downloads[old]
    token = secrets.token_urlsafe(32)
    _downloads[token] = Download(name, call.now + TOKEN_TTL)
    url = f"{call.base}/alipay/bill/download?token={token}"
    return {"code": "10000", "msg": "Success", "bill_download_url": url}


def _unsign(call: Call) -> Node:
    agreements.end(call.books, call.merchant, parse(call.biz, AskAgreement), now=call.now)
    return {"code": "10000", "msg": "Success"}


METHODS: dict[str, Callable[[Call], Node | Awaitable[Node]]] = {
    "alipay.trade.precreate": _precreate,
    "alipay.trade.create": _create,
    "alipay.trade.pay": _pay,
    "alipay.trade.query": _query,
    "alipay.trade.close": _close,
    "alipay.trade.cancel": lambda call: returns.cancel(call.books, call.merchant, parse(call.biz, Named), now=call.now),
    "alipay.trade.refund": lambda call: returns.refund(
        call.books, call.merchant, parse(call.biz, PlaceRefund), now=call.now
    ),
    "alipay.trade.fastpay.refund.query": lambda call: returns.ask(
        call.books, call.merchant, parse(call.biz, AskRefund), now=call.now
    ),
    "alipay.data.dataservice.bill.downloadurl.query": _bill,
    "alipay.user.agreement.query": lambda call: agreements.find(
        call.books, call.merchant, parse(call.biz, AskAgreement)
    ).answer(),
    "alipay.user.agreement.unsign": _unsign,
}


@get("/alipay/bill/download")
async def download_bill(request: Wire, token: FromQuery[str] = "") -> Response[bytes]:
    """Give a bill to whoever holds the address: neither the request nor the answer is signed."""
    books: AlipayBooks = request.app.state.alipay
    download = _downloads.get(token)
    if download is None or download.expires_at < clock.now():
        return Response(b"expired", status_code=403, media_type="text/plain")
    packed = await asyncio.to_thread(days.bill_path(books.store.directory, download.name).read_bytes)
    if books.faults.strikes("broken_bills"):
        packed = packed[: len(packed) // 2]
    return Response(packed, media_type="application/zip")


HANDLERS: list[HTTPRouteHandler] = [gateway, download_bill]
