"""What the payer sees: a page that says what it is, the amount, the merchant, and two buttons.

``/alipay/qr/{token}`` is what scanning a precreated code opens; the gateway opens the same page for ``wap.pay`` and
``page.pay``, and a page to agree on for ``agreement.page.sign``. Going back to the merchant carries Alipay's signed
parameters (同步回跳).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader
from litestar import MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from yimatong.kit import clock
from yimatong.kit.money import plain_yuan, yuan
from yimatong.sandbox.alipay import agreements
from yimatong.sandbox.alipay.rows import OFFERED, WAITING, Agreement, AlipayError, Trade, beijing
from yimatong.sandbox.alipay.state import AlipayBooks

_templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
Web = Request[Any, Any, Any]


@get("/alipay/qr/{token:str}")
async def scanned(request: Web, token: FromPath[str]) -> Response[str]:
    """Let a payer scan the code: the trade begins here."""
    books: AlipayBooks = request.app.state.alipay
    now = clock.now()
    try:
        trade = books.arrive(books.trade_of(token, now=now), now=now)
    except AlipayError as error:
        return problem(error)
    await books.store.flush()
    return trade_page(books, trade)


@post("/alipay/pay/{token:str}", status_code=200)
async def decide(request: Web, token: FromPath[str]) -> Response[Any]:
    """Pay or leave, then go back to the merchant's page if there is one."""
    books: AlipayBooks = request.app.state.alipay
    form = await request.form()
    try:
        trade = books.trade_of(token, now=clock.now())
        if form.get("decision") == "pay":
            trade = books.pay(trade, now=clock.now())
    except AlipayError as error:
        return problem(error)
    await books.store.flush()
    if _is_web(trade.return_url) and trade.paid_at is not None:
        return _gone(trade.return_url, books.key.signed_form(_returned(books, trade)))
    if _is_web(trade.return_url):
        return Redirect(trade.return_url, status_code=303, headers=_SECURITY)
    return trade_page(books, trade, told="支付成功" if trade.paid_at else "已取消支付")


@post("/alipay/agree/{token:str}", status_code=200)
async def agree(request: Web, token: FromPath[str]) -> Response[Any]:
    """Agree or leave."""
    books: AlipayBooks = request.app.state.alipay
    form = await request.form()
    try:
        page = agreements.of_token(books, token)
    except AlipayError as error:
        return problem(error)
    if form.get("decision") == "pay":
        page = agreements.agree(books, page, now=clock.now())
        await books.store.flush()
    if _is_web(page.return_url):
        return Redirect(page.return_url, status_code=303, headers=_SECURITY)
    return agreement_page(books, page, told="签约成功" if page.agreement_no else "未签约")


def trade_page(books: AlipayBooks, trade: Trade, *, told: str = "") -> Response[str]:
    """Return the page of a trade."""
    merchant = books.merchants.get(trade.app_id)
    facts = {
        "merchant": merchant.name if merchant else trade.pid,
        "amount": yuan(trade.total_fen),
        "lines": [("商品", trade.subject), ("商户单号", trade.out_trade_no), ("交易号", trade.trade_no)],
        "told": told or ("" if trade.status in (WAITING, OFFERED) else f"交易状态：{trade.status}"),
        "action": f"/alipay/pay/{trade.token}" if trade.status in (WAITING, OFFERED) and not told else "",
        "button": "确认付款",
        "back": trade.return_url if _is_web(trade.return_url) else "",
    }
    return _html(facts)


def agreement_page(books: AlipayBooks, page: Agreement, *, told: str = "") -> Response[str]:
    """Return the page of an agreement."""
    merchant = books.merchants.get(page.app_id)
    facts = {
        "merchant": merchant.name if merchant else page.pid,
        "amount": "",
        "lines": [("协议", "免密支付"), ("场景", page.sign_scene), ("商户签约号", page.external_agreement_no)],
        "told": told or ("" if page.status == OFFERED else f"协议状态：{page.status}"),
        "action": f"/alipay/agree/{page.token}" if page.status == OFFERED and not told else "",
        "button": "同意协议并开通",
        "back": page.return_url if _is_web(page.return_url) else "",
    }
    return _html(facts)


def problem(error: AlipayError) -> Response[str]:
    """Return a page that says what is wrong."""
    told = f"{error.sub_code} {error.sub_msg}"
    return _html({"merchant": "", "amount": "", "lines": [], "told": told, "action": "", "back": ""}, status=400)


def _returned(books: AlipayBooks, trade: Trade) -> dict[str, str]:
    return {
        "app_id": trade.app_id,
        "auth_app_id": trade.app_id,
        "charset": "utf-8",
        "method": f"{trade.method}.return",
        "out_trade_no": trade.out_trade_no,
        "seller_id": trade.pid,
        "timestamp": beijing(books.business_time(clock.now())),
        "total_amount": plain_yuan(trade.total_fen),
        "trade_no": trade.trade_no,
        "version": "1.0",
    }


def _gone(url: str, parameters: dict[str, str]) -> Response[Any]:
    mark = "&" if urlsplit(url).query else "?"
    return Redirect(f"{url}{mark}{urlencode(parameters)}", status_code=303, headers=_SECURITY)


def _html(facts: dict[str, Any], *, status: int = 200) -> Response[str]:
    text = _templates.get_template("payer.html").render(facts)
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=_SECURITY)


def _is_web(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")


HANDLERS: list[HTTPRouteHandler] = [scanned, decide, agree]
