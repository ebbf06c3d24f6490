"""What the payer sees: a small page that says what it is, the amount, the merchant, and two buttons.

``/h5pay`` is where an H5 order jumps to; ``/pay/{pr}`` is what scanning the code of a Native order opens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader
from litestar import MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from yimatong.kit import clock
from yimatong.kit.money import yuan
from yimatong.sandbox.wechat.rows import Order, WireError
from yimatong.sandbox.wechat.state import WeChat

_templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
Web = Request[Any, Any, Any]


@get("/h5pay")
async def h5_page(request: Web) -> Response[str]:
    """Show the payer page of an H5 order: ``?prepay_id=...&redirect_url=...``."""
    query = request.query_params
    return _page(request, str(query.get("prepay_id", "")), str(query.get("redirect_url", "")))


@get("/pay/{pr:str}")
async def native_page(request: Web, pr: FromPath[str]) -> Response[str]:
    """Show the payer page of the order behind ``weixin://wxpay/bizpayurl?pr=...``."""
    return _page(request, pr, str(request.query_params.get("redirect_url", "")))


@post("/pay/{token:str}", status_code=200)
async def decide(request: Web, token: FromPath[str]) -> Response[Any]:
    """Pay or cancel, then go back to the merchant's page if there is one."""
    wechat: WeChat = request.app.state.wechat
    form = await request.form()
    back = str(form.get("redirect_url", ""))
    told = "已取消支付"
    if form.get("decision") == "pay":
        try:
            wechat.pay(wechat.order_of(token), now=clock.now())
        except WireError as error:
            return _page(request, token, back, told=error.message)
        await wechat.store.flush()
        told = "支付成功"
    if _is_web(back):
        return Redirect(back, status_code=303, headers=_SECURITY)
    return _page(request, token, "", told=told)


def _page(request: Web, token: str, back: str, *, told: str = "") -> Response[str]:
    wechat: WeChat = request.app.state.wechat
    try:
        order = wechat.order_of(token)
    except WireError as error:
        return _html({"told": error.message, "order": None}, status=404)
    payable = order.trade_state == "NOTPAY" and not told and not _expired(wechat, order)
    merchant = wechat.merchants.get(order.mchid)
    facts = {
        "order": order,
        "merchant": merchant.name if merchant else order.mchid,
        "amount": yuan(order.total_fen),
        "told": told or ("" if payable else _why(order)),
        "payable": payable,
        "back": back if _is_web(back) else "",
        "token": token,
    }
    return _html(facts)


def _html(facts: dict[str, Any], *, status: int = 200) -> Response[str]:
    text = _templates.get_template("payer.html").render(facts)
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=_SECURITY)


def _expired(wechat: WeChat, order: Order) -> bool:
    return order.time_expire is not None and wechat.business_time(clock.now()) > order.time_expire


def _why(order: Order) -> str:
    return {"SUCCESS": "该订单已支付", "REFUND": "该订单已支付", "CLOSED": "订单已关闭"}.get(
        order.trade_state, "订单已过支付截止时间"
    )


def _is_web(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")


HANDLERS: list[HTTPRouteHandler] = [h5_page, native_page, decide]
