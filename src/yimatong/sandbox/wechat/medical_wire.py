"""What merchants call about mixed orders of medical insurance and own money, and the control port for them.

Paths: pay.weixin.qq.com, 医保自费混合收款下单, 查看下单结果 by either number, 医保退款通知 (which the merchant sends).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from yimatong.kit import clock
from yimatong.sandbox.wechat import medical
from yimatong.sandbox.wechat.edge import Call, Reply, Wire, answer
from yimatong.sandbox.wechat.requests import parse
from yimatong.sandbox.wechat.rows import WireError
from yimatong.sandbox.wechat.state import WeChat


class PayMixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The payer confirms: whether the own half is paid, and what the insurer answers (nothing: it is silent)."""

    mchid: str
    out_trade_no: str
    own: bool = True
    insurance: Literal["SUCCESS", "FAIL", ""] = "SUCCESS"


@post("/v3/med-ins/orders", status_code=200)
async def place(request: Wire) -> Response[bytes]:
    """医保自费混合收款下单."""

    def act(call: Call) -> Reply:
        key_id = call.request.headers.get("Wechatpay-Serial", "")
        body = parse(call.body, medical.PlaceMixed)
        row = medical.place(call.wechat, call.merchant, body, key_id=key_id, now=call.now)
        return Reply(200, medical.answer(call.wechat, row))

    return await answer(request, act)


@get("/v3/med-ins/orders/out-trade-no/{out_trade_no:str}")
async def query_by_number(request: Wire, out_trade_no: FromPath[str]) -> Response[bytes]:
    """使用从业机构订单号查看下单结果."""

    def act(call: Call) -> Reply:
        row = medical.named(call.wechat, call.merchant.mchid, out_trade_no=out_trade_no)
        return _seen(call, medical.answer(call.wechat, row))

    return await answer(request, act)


@get("/v3/med-ins/orders/mix-trade-no/{mix_trade_no:str}")
async def query_by_mixed(request: Wire, mix_trade_no: FromPath[str]) -> Response[bytes]:
    """使用医保自费混合订单号查看下单结果."""

    def act(call: Call) -> Reply:
        row = medical.named(call.wechat, call.merchant.mchid, mix_trade_no=mix_trade_no)
        return _seen(call, medical.answer(call.wechat, row))

    return await answer(request, act)


def _seen(call: Call, facts: dict[str, Any]) -> Reply:
    """Return a query's answer; the fault ``read_lag`` still shows a paid order as it was placed."""
    if facts["mix_pay_status"] == "MIX_PAY_SUCCESS" and call.wechat.faults.strikes("read_lag"):
        facts = facts | {"mix_pay_status": "MIX_PAY_CREATED", "self_pay_status": "SELF_PAY_CREATED"}
        facts.pop("paid_time", None)
    return Reply(200, facts)


@post("/v3/med-ins/refunds/notify", status_code=200)
async def tell_refund(request: Wire) -> Response[bytes]:
    """医保退款通知: 204 without a body."""

    def act(call: Call) -> Reply:
        row = medical.named(call.wechat, call.merchant.mchid, mix_trade_no=call.asked("mix_trade_no") or "-")
        medical.take_back(call.wechat, row, parse(call.body, medical.TellRefund))
        return Reply(204)

    return await answer(request, act)


@post("/control/wechat/med-ins/pay", status_code=200)
async def pay(request: Request[Any, Any, Any], data: JSONBody[PayMixed]) -> dict[str, Any]:
    """Let the payer confirm a mixed order, with the insurer's answer."""
    wechat: WeChat = request.app.state.wechat
    row = wechat.mixed.get(f"{data.mchid}/{data.out_trade_no}")
    if row is None:
        raise WireError(404, "NOT_FOUND", "no such mixed order")
    row = medical.pay(wechat, row, own=data.own, insurance=data.insurance, now=clock.now())
    await wechat.store.flush()
    return medical.answer(wechat, row)


HANDLERS: list[HTTPRouteHandler] = [place, query_by_number, query_by_mixed, tell_refund]
CONTROL: list[HTTPRouteHandler] = [pay]
