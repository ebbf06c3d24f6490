"""The mobile payment centre on the wire: 6201, 6202, 6203, 6301, 6401, and the exchange of credentials.

Every request is decrypted and verified, every answer signed, refusals too. That 6301 lists refunds and repeats
``orgBizSer``, and the whole exchange of credentials, are not in the public tables.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.sandbox.medical import sealing
from yimatong.sandbox.medical.notify import tell_settled
from yimatong.sandbox.medical.requests import AboutOrder, Exchange, PayOrder, RefundOrder, UploadFees, read
from yimatong.sandbox.medical.rows import Institution, InsuranceError, Order
from yimatong.sandbox.medical.showing import order_shown, refund_shown
from yimatong.sandbox.medical.state import Insurance

Wire = Request[Any, Any, Any]
JSON = "application/json; charset=utf-8"
GARBAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Call(NamedTuple):
    """A verified request."""

    insurance: Insurance
    institution: Institution
    content: dict[str, Any]
    now: datetime


async def _answer(request: Wire, act: Callable[[Call], dict[str, Any]]) -> Response[bytes]:
    """Verify, act, make durable, sign; the faults of the wire strike here."""
    insurance: Insurance = request.app.state.insurance
    path, faults = request.scope["raw_path"].decode("ascii"), insurance.faults
    broken_off = await stumble(insurance, path)
    if broken_off is not None:
        return broken_off
    now, institution = clock.now(), None
    content: dict[str, Any] = {}
    said: dict[str, Any] = {"code": 0, "success": True, "message": "成功"}
    try:
        body = _body(await request.body())
        institution = insurance.with_app(str(body.get("appId", "")))
        call = Call(insurance, institution, sealing.opened(institution, body, now=now), now)
        content = _acted(call, act)
    except InsuranceError as error:
        said = {"code": error.code, "success": False, "message": error.message}
    await insurance.store.flush()
    if faults.strikes("lost_answers", path):
        await asyncio.sleep(faults.hang_s)
        return Response(GARBAGE, status_code=504, media_type="text/html")
    if institution is None:
        return Response(msgspec.json.encode(said), media_type=JSON)
    answer = insurance.key.answer(
        institution,
        content,
        now=now,
        old=faults.strikes("old_answers", path),
        broken=faults.strikes("wrong_signatures", path),
        **said,
    )
    if faults.strikes("unsigned_answers", path):
        del answer["signData"]
    return Response(msgspec.json.encode(answer), media_type=JSON)


def _acted(call: Call, act: Callable[[Call], dict[str, Any]]) -> dict[str, Any]:
    if call.content.get("orgCodg", call.institution.fixmedins_code) != call.institution.fixmedins_code:
        raise InsuranceError(code="401", message="orgCodg 与 appId 不一致")
    return act(call)


async def stumble(insurance: Insurance, path: str) -> Response[bytes] | None:
    """Return what answers before anything is done, if a fault of the wire strikes."""
    faults = insurance.faults
    if faults.delay_s and faults.path in path:
        await asyncio.sleep(faults.delay_s)
    if faults.strikes("busy", path):
        return Response(b"", status_code=429)
    if faults.strikes("answer_5xx", path):
        return Response(GARBAGE, status_code=502, media_type="text/html")
    if faults.strikes("garbage", path):
        return Response(GARBAGE, status_code=200, media_type="text/html")
    return None


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise InsuranceError(code="400", message="报文不是 JSON") from error
    if not isinstance(body, dict):
        raise InsuranceError(code="400", message="报文不是对象")
    return body


@post("/insurance/org/local/api/hos/uldFeeInfo", status_code=200)
async def upload(request: Wire) -> Response[bytes]:
    """费用明细上传 (6201)."""

    def act(call: Call) -> dict[str, Any]:
        asked = read(call.content, UploadFees, "6201")
        order = call.insurance.upload(call.institution, asked, now=call.now)
        return {**_shown(order), "payToken": order.pay_token, "extData": {"mdtrtId": order.mdtrt_id}}

    return await _answer(request, act)


@post("/insurance/org/local/api/hos/pay_order", status_code=200)
async def pay(request: Wire) -> Response[bytes]:
    """支付下单 (6202)."""

    def act(call: Call) -> dict[str, Any]:
        asked = read(call.content, PayOrder, "6202")
        before = call.insurance.order(call.institution, asked.payOrdId, asked.payToken)
        order = call.insurance.pay(call.institution, asked, now=call.now)
        if order.setl_id and not before.setl_id:
            tell_settled(call.insurance, call.institution, order, now=call.now)
        return _shown(order)

    return await _answer(request, act)


@post("/insurance/org/local/api/hos/refund_Order", status_code=200)
async def refund(request: Wire) -> Response[bytes]:
    """退费 (6203)."""

    def act(call: Call) -> dict[str, Any]:
        made = call.insurance.refund(call.institution, read(call.content, RefundOrder, "6203"), now=call.now)
        return refund_shown(made) | {"payOrdId": made.pay_ord_id}

    return await _answer(request, act)


@post("/insurance/org/local/api/hos/query_order_info", status_code=200)
async def query(request: Wire) -> Response[bytes]:
    """医保订单结算结果查询 (6301)."""

    def act(call: Call) -> dict[str, Any]:
        order = _named(call)
        shown = _shown(order, lagging=order.ord_stas != order.before and call.insurance.faults.strikes("read_lag"))
        if not call.insurance.faults.strikes("no_list"):
            # An empty list would be left out of the content like everything empty: one line says that there is none.
            listed = [refund_shown(each) for each in call.insurance.refunds_of(order)]
            shown["refdOrdList"] = listed or [{"appRefdSn": "-", "refStatus": "NONE"}]
        return shown

    return await _answer(request, act)


@post("/insurance/org/local/api/hos/revoke_order", status_code=200)
async def revoke(request: Wire) -> Response[bytes]:
    """费用明细上传撤销 (6401)."""

    def act(call: Call) -> dict[str, Any]:
        order = _named(call)
        return _shown(call.insurance.revoke(call.institution, order.pay_ord_id, order.pay_token))

    return await _answer(request, act)


@post("/insurance/org/local/api/ec/exchange", status_code=200)
async def exchange(request: Wire) -> Response[bytes]:
    """Exchange a credential token, a payment authorisation, a settlement code or a certificate."""

    def act(call: Call) -> dict[str, Any]:
        asked, people = read(call.content, Exchange, "3100"), call.insurance.people
        if asked.exchType == "certificate":
            person = people.find(asked.idNo, asked.userName, asked.idType)
        else:
            person = people.holder(getattr(asked, asked.exchType), asked.exchType, now=call.now)
        minutes = call.insurance.conditions.token_minutes
        token = asked.ecToken
        if not token:
            token = people.issue(person, "ecToken", now=call.now, minutes=minutes).value
        held = people.credentials.get(token)
        code = people.issue(person, "setlCode", now=call.now, minutes=1)
        return {
            "ecToken": token,
            "expireTime": _stamp(held.expires_at if held else None),
            "setlCode": code.value,
            "userName": person.name,
            "idType": person.id_type,
            "idNo": person.id_number,
            "psnNo": person.psn_no,
            "insutype": person.insutype,
            "insuplcAdmdvs": person.insuplc,
        }

    return await _answer(request, act)


def _named(call: Call) -> Order:
    asked = read(call.content, AboutOrder, "6301")
    order = call.insurance.order(call.institution, asked.payOrdId, asked.payToken)
    if (asked.idNo, asked.userName, asked.idType) != (order.id_number, order.name, order.id_type):
        raise InsuranceError(code="6301", message="实名信息与订单不一致")
    return order


def _shown(order: Order, *, lagging: bool = False) -> dict[str, Any]:
    return order_shown(order) | ({"ordStas": order.before, "traceTime": ""} if lagging else {})


def _stamp(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(BEIJING):%Y%m%d%H%M%S}"


HANDLERS: list[HTTPRouteHandler] = [upload, pay, refund, query, revoke, exchange]
