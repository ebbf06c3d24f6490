"""Payments by the payer's code (付款码支付) and their reversal (撤销), as the window's system calls them.

Codes are drawn at the control port, where it is also said how the payment will end. What cannot be read openly is the
answer to a payment that waits for a password; a code can ask for either form. The reversal is answered 204.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from yimatong.kit import clock
from yimatong.sandbox.wechat.edge import Call, Reply, Wire, answer, own
from yimatong.sandbox.wechat.requests import PlaceByCode, ReverseOrder, parse
from yimatong.sandbox.wechat.rows import CodeRow
from yimatong.sandbox.wechat.state import WeChat


class ShowCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let a payer open her payment code; ``ends`` as in the row."""

    ends: Literal["pays", "asks", "asks_refusing", "poor"] = "pays"
    openid: str = ""
    ttl_s: float = 60.0


class CodeShown(msgspec.Struct, frozen=True):
    """What the payer's screen shows."""

    auth_code: str
    expires_at: datetime


@post("/v3/pay/transactions/codepay", status_code=200)
async def pay_by_code(request: Wire) -> Response[bytes]:
    """付款码支付: the order as it stands."""

    def act(call: Call) -> Reply:
        return Reply(
            200, call.wechat.place_by_code(call.merchant, parse(call.body, PlaceByCode), now=call.now).answer()
        )

    return await answer(request, act)


@post("/v3/pay/transactions/out-trade-no/{out_trade_no:str}/reverse", status_code=200)
async def reverse(request: Wire, out_trade_no: FromPath[str]) -> Response[bytes]:
    """撤销: 204 without a body."""

    def act(call: Call) -> Reply:
        own(call, parse(call.body, ReverseOrder).mchid)
        call.wechat.reverse(call.merchant.mchid, out_trade_no)
        return Reply(204)

    return await answer(request, act)


@post("/control/wechat/payment-codes", status_code=200)
async def show_code(request: Request[Any, Any, Any], data: JSONBody[ShowCode]) -> CodeShown:
    """Draw a payment code."""
    wechat: WeChat = request.app.state.wechat
    row = CodeRow(
        auth_code=f"13{secrets.randbelow(10**16):016d}",
        openid=data.openid or f"oSim{secrets.token_hex(12)}",
        ends=data.ends,
        expires_at=clock.now() + timedelta(seconds=data.ttl_s),
    )
    wechat.codes.put(row.auth_code, row)
    await wechat.store.flush()
    return CodeShown(row.auth_code, row.expires_at)


HANDLERS: list[HTTPRouteHandler] = [pay_by_code, reverse]
CONTROL: list[HTTPRouteHandler] = [show_code]
