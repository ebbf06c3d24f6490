"""What the payer meets at UnionPay: the page that a front transaction opens, the one behind a scanned code or a tn.

``frontTransReq.do`` takes the form that the merchant signed. After paying, or cancelling, the page offers the way back:
a form with UnionPay's signed fields, posted to the merchant's ``frontUrl`` (前台通知).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader
from litestar import MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from yimatong.kit import clock
from yimatong.kit.money import yuan
from yimatong.sandbox.unionpay.requests import transaction
from yimatong.sandbox.unionpay.rows import Opening, Transaction, WireError
from yimatong.sandbox.unionpay.state import UnionPay
from yimatong.sandbox.unionpay.wire import Call, verified

_templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
Web = Request[Any, Any, Any]


@post("/unionpay/gateway/api/frontTransReq.do", status_code=200)
async def front(request: Web) -> Response[str]:
    """前台交易: a payment (01), or an opening of quick payment (79)."""
    try:
        call = await verified(request)
        if call.fields["txnType"] == "79":
            opening = _begin(call)
            await call.unionpay.store.flush()
            return _page(call.unionpay, opening=opening)
        placed = _place(call)
    except WireError as error:
        return _html({"told": f"{error.code} {error.message}"}, status=400)
    await call.unionpay.store.flush()
    return _page(call.unionpay, placed)


def _place(call: Call) -> Transaction:
    if (call.fields["txnType"], call.fields["txnSubType"], call.fields["bizType"]) != ("01", "01", "000201"):
        raise WireError(code="32")
    moment = call.unionpay.business_time(call.now)
    return call.unionpay.place(transaction(call.fields, front=True, token=secrets.token_hex(12), now=moment))


def _begin(call: Call) -> Opening:
    opening = Opening(
        mer_id=call.merchant.mer_id,
        order_id=call.fields["orderId"],
        txn_time=call.fields["txnTime"],
        back_url=call.fields.get("backUrl", ""),
        front_url=call.fields.get("frontUrl", ""),
        page=secrets.token_hex(12),
    )
    known = call.unionpay.cards.openings.get(opening.key)
    if known is None:
        call.unionpay.cards.openings.put(opening.key, opening)
    return known or opening


@get("/unionpay/pay/{token:str}")
async def page(request: Web, token: FromPath[str]) -> Response[str]:
    """Show the page of the payment behind a scanned code, or a tn."""
    unionpay: UnionPay = request.app.state.unionpay
    try:
        return _page(unionpay, unionpay.of_token(token))
    except WireError as error:
        return _html({"told": error.message}, status=404)


@post("/unionpay/pay/{token:str}", status_code=200)
async def decide(request: Web, token: FromPath[str]) -> Response[str]:
    """Pay or cancel."""
    unionpay: UnionPay = request.app.state.unionpay
    form = await request.form()
    try:
        payment = unionpay.of_token(token)
        if form.get("decision") != "pay":
            return _page(unionpay, payment, told="已取消支付")
        payment = unionpay.pay(payment, now=clock.now())
    except WireError as error:
        return _html({"told": error.message}, status=400)
    await unionpay.store.flush()
    return _page(unionpay, payment, told="支付成功", back=payment.facts() | {"respCode": "00", "respMsg": "success"})


@post("/unionpay/open/{token:str}", status_code=200)
async def decide_opening(request: Web, token: FromPath[str]) -> Response[str]:
    """Open quick payment for the card that the payer enters, or cancel."""
    unionpay: UnionPay = request.app.state.unionpay
    form = await request.form()
    try:
        opening = unionpay.cards.of_page(token)
        if form.get("decision") == "pay":
            opening = unionpay.cards.open(opening, str(form.get("card", "")), str(form.get("phone", "")))
        else:
            opening = unionpay.cards.refuse(opening)
    except WireError as error:
        return _html({"told": error.message}, status=400)
    await unionpay.store.flush()
    return _page(unionpay, opening=opening, told="开通成功" if opening.state == "open" else "已取消开通")


def _page(
    unionpay: UnionPay,
    payment: Transaction | None = None,
    *,
    opening: Opening | None = None,
    told: str = "",
    back: dict[str, str] | None = None,
) -> Response[str]:
    about = payment or opening
    merchant = unionpay.merchants.get(about.mer_id) if about else None
    url = about.front_url if about else ""
    waiting = about is not None and about.state == "waiting" and not told
    signed = unionpay.authority.sign(back, merchant) if back else {}
    return _html(
        {
            "payment": payment,
            "opening": opening,
            "amount": yuan(payment.amount_fen) if payment else "",
            "merchant": merchant.name if merchant else "",
            "told": told or ("" if waiting else "该交易已处理"),
            "waiting": waiting,
            "back_url": url if urlsplit(url).scheme in ("http", "https") else "",
            "back": signed,
        }
    )


def _html(facts: dict[str, Any], *, status: int = 200) -> Response[str]:
    text = _templates.get_template("payer.html").render(facts)
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=_SECURITY)


HANDLERS: list[HTTPRouteHandler] = [front, page, decide, decide_opening]
