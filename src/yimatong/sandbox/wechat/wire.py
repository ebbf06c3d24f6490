"""What merchants call: orders, refunds and bills of API v3, every request verified, every answer signed.

Paths, fields and codes: pay.weixin.qq.com, JSAPI / APP / Native / H5 支付, 退款, 交易账单, 资金账单.
"""

from __future__ import annotations

import asyncio
import gzip
import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from yimatong.kit.clock import rfc3339
from yimatong.sandbox.wechat import days, keys, medical_wire, payment_codes
from yimatong.sandbox.wechat.edge import JSON, Call, Reply, Wire, address, answer, own, verified
from yimatong.sandbox.wechat.requests import CloseOrder, PlaceOrder, PlaceRefund, parse
from yimatong.sandbox.wechat.rows import CertificateRow, Order, WireError
from yimatong.sandbox.wechat.state import WeChat

_TOKEN_TTL = timedelta(minutes=5)


class Download(NamedTuple):
    """What a download token stands for."""

    day: str
    mchid: str
    bill_type: str
    zipped: bool
    expires_at: datetime


_downloads: dict[str, Download] = {}
"""Tokens live for minutes; a restart forgets them and the merchant asks again."""


def _place(call: Call, trade_type: str) -> Order:
    return call.wechat.place(call.merchant, trade_type, parse(call.body, PlaceOrder), now=call.now)


@post("/v3/pay/transactions/jsapi", status_code=200)
async def place_jsapi(request: Wire) -> Response[bytes]:
    """JSAPI 下单."""
    return await answer(request, lambda call: Reply(200, {"prepay_id": _place(call, "JSAPI").prepay_id}))


@post("/v3/pay/transactions/app", status_code=200)
async def place_app(request: Wire) -> Response[bytes]:
    """APP 下单."""
    return await answer(request, lambda call: Reply(200, {"prepay_id": _place(call, "APP").prepay_id}))


@post("/v3/pay/transactions/native", status_code=200)
async def place_native(request: Wire) -> Response[bytes]:
    """Native 下单."""

    def act(call: Call) -> Reply:
        return Reply(200, {"code_url": f"weixin://wxpay/bizpayurl?pr={_place(call, 'NATIVE').pr}"})

    return await answer(request, act)


@post("/v3/pay/transactions/h5", status_code=200)
async def place_h5(request: Wire) -> Response[bytes]:
    """H5 下单."""

    def act(call: Call) -> Reply:
        return Reply(200, {"h5_url": f"{call.base}/h5pay?prepay_id={_place(call, 'MWEB').prepay_id}"})

    return await answer(request, act)


@get("/v3/pay/transactions/out-trade-no/{out_trade_no:str}")
async def query_by_number(request: Wire, out_trade_no: FromPath[str]) -> Response[bytes]:
    """商户订单号查询订单."""

    def act(call: Call) -> Reply:
        own(call, call.asked("mchid"))
        return Reply(200, _seen(call, call.wechat.order(call.merchant.mchid, out_trade_no)))

    return await answer(request, act)


@get("/v3/pay/transactions/id/{transaction_id:str}")
async def query_by_transaction(request: Wire, transaction_id: FromPath[str]) -> Response[bytes]:
    """微信支付订单号查询订单; an unpaid order has no such number."""

    def act(call: Call) -> Reply:
        own(call, call.asked("mchid"))
        order = call.wechat.order_of(transaction_id)
        if order.mchid != call.merchant.mchid or order.transaction_id != transaction_id:
            raise WireError(404, "ORDER_NOT_EXIST", "订单不存在")
        return Reply(200, _seen(call, order))

    return await answer(request, act)


def _seen(call: Call, order: Order) -> dict[str, Any]:
    """Return an order as a query shows it; the fault ``read_lag`` still shows it unpaid."""
    if order.paid_at is not None and call.wechat.faults.strikes("read_lag"):
        order = msgspec.structs.replace(order, trade_state="NOTPAY", paid_at=None)
    return order.answer()


@post("/v3/pay/transactions/out-trade-no/{out_trade_no:str}/close", status_code=200)
async def close_order(request: Wire, out_trade_no: FromPath[str]) -> Response[bytes]:
    """关闭订单: 204 without a body."""

    def act(call: Call) -> Reply:
        own(call, parse(call.body, CloseOrder).mchid)
        call.wechat.close(call.merchant.mchid, out_trade_no)
        return Reply(204)

    return await answer(request, act)


@post("/v3/refund/domestic/refunds", status_code=200)
async def place_refund(request: Wire) -> Response[bytes]:
    """退款申请: the answer is acceptance, not arrival."""

    def act(call: Call) -> Reply:
        asked = parse(call.body, PlaceRefund)
        if bool(asked.out_trade_no) == bool(asked.transaction_id):
            raise WireError(400, "PARAM_ERROR", "transaction_id 和 out_trade_no 必须二选一")
        return Reply(200, call.wechat.refund(call.merchant, asked, now=call.now).answer())

    return await answer(request, act)


@get("/v3/refund/domestic/refunds/{out_refund_no:str}")
async def query_refund(request: Wire, out_refund_no: FromPath[str]) -> Response[bytes]:
    """查询单笔退款（通过商户退款单号）."""

    def act(call: Call) -> Reply:
        call.wechat.settle_due(now=call.now)
        return Reply(200, call.wechat.refund_named(call.merchant.mchid, out_refund_no).answer())

    return await answer(request, act)


@get("/v3/bill/tradebill")
async def trade_bill(request: Wire) -> Response[bytes]:
    """申请交易账单: where the bill can be fetched, and the hash of its plain text."""
    return await answer(request, lambda call: _bill(call, call.asked("bill_type") or "ALL", days.TRADE))


@get("/v3/bill/fundflowbill")
async def fund_flow_bill(request: Wire) -> Response[bytes]:
    """申请资金账单: every movement of the merchant's basic account (the only one that is simulated)."""
    return await answer(request, lambda call: _bill(call, call.asked("account_type") or "BASIC", days.FUNDS))


async def _bill(call: Call, bill_type: str, offered: frozenset[str]) -> Reply:
    day, zipped = call.asked("bill_date"), call.asked("tar_type")
    if zipped not in ("", "GZIP") or bill_type not in offered:
        raise WireError(400, "PARAM_ERROR", "bill_type、account_type 或 tar_type 不合法")
    sha1 = await days.bill_of(call.wechat, call.merchant, day, bill_type, now=call.now)
    token = secrets.token_urlsafe(32)
    for old in [name for name, download in _downloads.items() if download.expires_at < call.now]:
        del _downloads[old]
    _downloads[token] = Download(day, call.merchant.mchid, bill_type, zipped == "GZIP", call.now + _TOKEN_TTL)
    url = f"{call.base}/v3/billdownload/file?token={token}"
    return Reply(200, {"hash_type": "SHA1", "hash_value": sha1, "download_url": url})


@get("/v3/certificates")
async def certificates(request: Wire) -> Response[bytes]:
    """获取平台证书列表: every certificate that counts, sealed with the merchant's APIv3 key."""

    def act(call: Call) -> Reply:
        valid = call.wechat.signers.valid(moment=call.wechat.wire_time(call.now))
        return Reply(200, {"data": [_sealed(row, call.merchant.api_v3_key) for row in valid]})

    return await answer(request, act, by_certificate=True)


def _sealed(row: CertificateRow, api_v3_key: str) -> dict[str, Any]:
    return {
        "serial_no": row.serial_no,
        "effective_time": rfc3339(row.begins_at),
        "expire_time": rfc3339(row.ends_at),
        "encrypt_certificate": keys.seal(row.pem, api_v3_key=api_v3_key, associated_data="certificate"),
    }


@get("/v3/billdownload/file")
async def download_bill(request: Wire) -> Response[bytes]:
    """下载账单: the request is signed, the answer is not."""
    wechat: WeChat = request.app.state.wechat
    try:
        download = _downloaded(await verified(wechat, request, address(request)))
    except WireError as error:
        content = msgspec.json.encode({"code": error.code, "message": error.message})
        return Response(content, status_code=error.status, media_type=JSON)
    path = days.bill_path(wechat.store.directory, download.day, download.mchid, download.bill_type)
    text = await asyncio.to_thread(path.read_bytes)
    if wechat.faults.strikes("broken_bills"):
        text = text[: len(text) // 2]
    if download.zipped:
        text = await asyncio.to_thread(gzip.compress, text, 6)
    return Response(text, media_type="application/x-gzip" if download.zipped else "text/plain")


def _downloaded(call: Call) -> Download:
    download = _downloads.get(call.asked("token"))
    if download is None or download.expires_at < call.now or download.mchid != call.merchant.mchid:
        raise WireError(400, "INVALID_REQUEST", "token 已过期或不存在")
    return download


HANDLERS: list[HTTPRouteHandler] = [
    place_jsapi,
    place_app,
    place_native,
    place_h5,
    query_by_number,
    query_by_transaction,
    close_order,
    place_refund,
    query_refund,
    trade_bill,
    fund_flow_bill,
    download_bill,
    certificates,
    *payment_codes.HANDLERS,
    *medical_wire.HANDLERS,
]
