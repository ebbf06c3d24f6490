"""What merchants call: every request verified, every answer signed (a refusal too).

Addresses: ``frontTransReq.do`` (the payer's browser posts), ``appTransReq.do``, ``backTransReq.do``,
``cardTransReq.do``, ``queryTrans.do``, and the file server. Answers are ``name=value&...``, UTF-8, not URL-encoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from yimatong.kit import clock
from yimatong.sandbox.unionpay import authority, settling
from yimatong.sandbox.unionpay.back import BACK
from yimatong.sandbox.unionpay.requests import check, new_tn, transaction
from yimatong.sandbox.unionpay.rows import MESSAGES, Merchant, WireError
from yimatong.sandbox.unionpay.state import UnionPay

_GARBAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
Wire = Request[Any, Any, Any]


class Call(NamedTuple):
    """A verified request."""

    unionpay: UnionPay
    merchant: Merchant
    fields: dict[str, str]
    now: datetime


async def verified(request: Wire) -> Call:
    """Read and verify a request. Raises ``WireError`` 10, 11, 13, 31, 32."""
    unionpay: UnionPay = request.app.state.unionpay
    fields = _form(await request.body())
    merchant = unionpay.merchants.get(fields.get("merId", ""))
    if merchant is None:
        raise WireError(code="31")
    authority.verify(fields, merchant)
    check(fields)
    return Call(unionpay, merchant, fields, clock.now())


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except (UnicodeDecodeError, ValueError) as error:
        raise WireError(code="10") from error
    return dict(pairs)


async def _answer(request: Wire, act: Callable[[Call], dict[str, str]]) -> Response[bytes]:
    """Verify, act, make durable, sign; the faults of the wire strike here."""
    unionpay: UnionPay = request.app.state.unionpay
    faults, path = unionpay.faults, str(request.url.path)
    if faults.delay_s and faults.path in path:
        await asyncio.sleep(faults.delay_s)
    if faults.strikes("answer_5xx", path):
        return Response(_GARBAGE, status_code=502, media_type="text/html")
    asked: dict[str, str] = {}
    try:
        asked = _form(await request.body())
        call = await verified(request)
        told = act(call)
        code = told.get("respCode", "00")
        message = MESSAGES[code]
    except WireError as error:
        code, message, told = error.code, error.message, {}
    await unionpay.store.flush()
    if faults.strikes("timeout_after_acting", path):
        await asyncio.sleep(faults.hang_s)
        return Response(_GARBAGE, status_code=504, media_type="text/html")
    echoed = ("version", "encoding", "bizType", "txnType", "txnSubType", "accessType", "merId", "orderId", "txnTime")
    fields = {name: asked[name] for name in echoed if name in asked} | told
    fields |= {"respCode": code, "respMsg": message}
    signed = unionpay.authority.sign(fields, unionpay.merchants.get(asked.get("merId", "")), odd=_odd(unionpay, path))
    if faults.strikes("unsigned_answers", path):
        del signed["signature"]
    content = "&".join(f"{name}={value}" for name, value in signed.items())
    return Response(content.encode(), media_type="text/html;charset=UTF-8")


def _odd(unionpay: UnionPay, path: str) -> str:
    for fault, odd in (("wrong_signatures", "signature"), ("foreign_chain", "chain"), ("wrong_cn", "cn")):
        if unionpay.faults.strikes(fault, path):
            return odd
    return ""


@post("/unionpay/gateway/api/appTransReq.do", status_code=200)
async def app_trans(request: Wire) -> Response[bytes]:
    """手机控件: an order whose tn the SDK takes."""

    def act(call: Call) -> dict[str, str]:
        if (call.fields["txnType"], call.fields["txnSubType"], call.fields["bizType"]) != ("01", "01", "000201"):
            raise WireError(code="32")
        wanted = transaction(call.fields, front=True, token=new_tn(), now=call.unionpay.business_time(call.now))
        return {"tn": call.unionpay.place(wanted).token}

    return await _answer(request, act)


@post(["/unionpay/gateway/api/backTransReq.do", "/unionpay/gateway/api/cardTransReq.do"], status_code=200)
async def back_trans(request: Wire) -> Response[bytes]:
    """后台交易: 二维码, token, 退货, 撤销, 冲正, SMS codes."""

    def act(call: Call) -> dict[str, str]:
        verb = BACK.get((call.fields["txnType"], call.fields["txnSubType"], call.fields["bizType"]))
        verb = verb or BACK.get((call.fields["txnType"], call.fields["txnSubType"], ""))
        if verb is None:
            raise WireError(code="32")
        return verb(call.unionpay, call.merchant, call.fields, call.now)

    return await _answer(request, act)


@post("/unionpay/gateway/api/queryTrans.do", status_code=200)
async def query_trans(request: Wire) -> Response[bytes]:
    """交易状态查询, by merchant, number and time."""

    def act(call: Call) -> dict[str, str]:
        if call.fields["txnType"] != "00":
            raise WireError(code="32")
        told = call.unionpay.ask(call.merchant.mer_id, call.fields["orderId"], call.fields["txnTime"], now=call.now)
        return told | {"origRespMsg": MESSAGES.get(told["origRespCode"], "")}

    return await _answer(request, act)


@post("/unionpay/files/", status_code=200)
async def file_trans(request: Wire) -> Response[bytes]:
    """对账文件下载, by settlement date (MMDD)."""
    return await _answer(request, _file)


def _file(call: Call) -> dict[str, str]:
    if call.fields["txnType"] != "76" or call.fields.get("fileType") != "00":
        raise WireError(code="32")
    name, content = settling.packed(call.unionpay, call.merchant, call.fields.get("settleDate", ""), now=call.now)
    return {"settleDate": call.fields["settleDate"], "fileType": "00", "fileName": name, "fileContent": content}


HANDLERS: list[HTTPRouteHandler] = [app_trans, back_trans, query_trans, file_trans]
