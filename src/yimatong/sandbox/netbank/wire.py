"""What payers and merchants call under ``/netbank/{bank}``: the bank's page, order query, refund, file."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader
from litestar import MediaType, Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.kit.http import Outbound
from yimatong.kit.money import yuan
from yimatong.sandbox.netbank import forms
from yimatong.sandbox.netbank.books import NetBanks
from yimatong.sandbox.netbank.forms import BANKS, Bank
from yimatong.sandbox.netbank.notify import WAITS_S, deliver
from yimatong.sandbox.netbank.rows import BankRefusal, Merchant, Order, Refund

Wire = Request[Any, Any, Any]
FORM = "application/x-www-form-urlencoded"
_GARBAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_REFUND_STAT = {"processing": "0", "done": "1", "failed": "2", "closed": "3"}
_templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Call(NamedTuple):
    """A verified question of a merchant."""

    banks: NetBanks
    bank: Bank
    merchant: Merchant
    tree: Any
    now: datetime


class Reply(NamedTuple):
    """An answer before it is signed; ``content`` is a file beside it."""

    facts: dict[str, str]
    content: bytes | None = None


def of(request: Wire) -> NetBanks:
    """Return the banks of a request."""
    found: NetBanks = request.app.state.netbank
    return found


def _bank(name: str) -> Bank:
    if name not in BANKS:
        raise BankRefusal(code="BANK_UNKNOWN", message="no such bank")
    return BANKS[name]


def _verified(banks: NetBanks, bank: Bank, body: bytes, *, root: str, mer_id: str) -> tuple[Merchant, Any, bytes]:
    form = forms.form_of(body)
    tree, document = forms.opened(bank, form, root=root)
    merchant = banks.merchant(bank, forms.text(tree, mer_id))
    forms.verify(merchant, form, document)
    return merchant, tree, document


@post("/netbank/{bank:str}/pay", status_code=200)
async def pay_page(request: Wire, bank: FromPath[str]) -> Response[str]:
    """Show the bank's page for the order that the payer's browser brings."""
    banks = of(request)
    try:
        own = _bank(bank)
        merchant, tree, document = _verified(banks, own, await request.body(), root="B2CReq", mer_id="orderInfo/merID")
        order = banks.bring(own, merchant, tree, document, now=clock.now())
    except BankRefusal as refusal:
        return _page({"told": f"{refusal.code} {refusal.message}"}, status=400)
    await banks.store.flush()
    told = "该订单已支付" if order.state == "paid" else ""
    return _page(_facts(banks, own, order) | {"told": told, "payable": not told})


@post("/netbank/{bank:str}/confirm/{token:str}", status_code=200)
async def confirm(request: Wire, bank: FromPath[str], token: FromPath[str]) -> Response[str]:
    """Pay, fail or give up; the notice goes out before the result page is shown, and its answer stands on it."""
    banks = of(request)
    form = await request.form()
    try:
        own, order = _bank(bank), banks.order_of(token)
        if form.get("decision") == "cancel":
            return _page(_facts(banks, own, order) | {"told": "已取消支付", "back": order.return_url})
        notice = banks.pay(order, now=clock.now(), succeeds=form.get("decision") == "pay")
    except BankRefusal as refusal:
        return _page({"told": f"{refusal.code} {refusal.message}"}, status=400)
    await banks.store.flush()
    if notice.state == "pending" and not banks.conditions.notice_delay_s:
        async with Outbound(connect_s=2.0, read_s=WAITS_S) as outbound:
            notice = await deliver(banks, outbound, notice)
    told = "支付成功" if notice.tran_stat == "1" else "支付失败"
    facts = {"told": told, "back": order.return_url, "merchant_says": notice.answer}
    return _page(_facts(banks, own, order) | facts)


@post("/netbank/{bank:str}/query", status_code=200)
async def query(request: Wire, bank: FromPath[str]) -> Response[bytes]:
    """Say how an order stands."""

    def act(call: Call) -> Reply:
        order = call.banks.order(call.bank, call.merchant, forms.text(call.tree, "orderid"))
        if order.order_date != forms.text(call.tree, "orderDate"):
            raise BankRefusal(code="ORDER_NOT_FOUND", message="订单日期不符")
        word = call.banks.word_of(order, now=call.now)
        lagging = order.state == "paid" and call.banks.faults.strikes("read_lag")
        return Reply(
            {
                "merID": order.mer_id,
                "orderid": order.orderid,
                "orderDate": order.order_date,
                "curType": call.bank.currency,
                "amount": call.bank.written(order.amount_fen),
                "tranStat": "3" if lagging else word,
                "tranSerialNo": "" if lagging else order.serial,
                "notifyDate": "" if lagging else _stamp(order.paid_at),
            }
        )

    return await _answer(request, bank, ("QueryReq", "QueryRes"), act)


@post("/netbank/{bank:str}/refund", status_code=200)
async def refund(request: Wire, bank: FromPath[str]) -> Response[bytes]:
    """Accept a refund, or say how one stands (RefundQueryReq)."""

    def act(call: Call) -> Reply:
        number = forms.text(call.tree, "refundNo")
        if call.tree.tag == "RefundQueryReq":
            return Reply(_shown(call, call.banks.refund_named(call.bank, call.merchant, number)))
        order = call.banks.order(call.bank, call.merchant, forms.text(call.tree, "orderid"))
        amount_fen = call.bank.fen(forms.text(call.tree, "refundAmt"))
        return Reply(_shown(call, call.banks.refund(order, number, amount_fen, now=call.now)))

    return await _answer(request, bank, ("RefundReq", "RefundRes"), act)


@post("/netbank/{bank:str}/file", status_code=200)
async def file(request: Wire, bank: FromPath[str]) -> Response[bytes]:
    """Give the file of a day, with its SHA-256 in the signed document."""

    def act(call: Call) -> Reply:
        day = forms.text(call.tree, "fileDate")
        content = call.banks.file(call.bank, call.merchant, f"{day[:4]}-{day[4:6]}-{day[6:]}", now=call.now)
        facts = {"merID": call.merchant.mer_id, "fileDate": day, "fileDigest": hashlib.sha256(content).hexdigest()}
        broken = call.banks.faults.strikes("broken_files")
        return Reply(facts, content[: len(content) // 2] if broken else content)

    return await _answer(request, bank, ("FileReq", "FileRes"), act)


def _shown(call: Call, found: Refund) -> dict[str, str]:
    return {
        "merID": found.mer_id,
        "orderid": found.orderid,
        "refundNo": found.refund_no,
        "refundAmt": call.bank.written(found.amount_fen),
        "refundStat": _REFUND_STAT[found.state],
        "bankRefundNo": found.bank_refund_no,
        "finishDate": _stamp(found.finished_at),
    }


async def _answer(request: Wire, name: str, roots: tuple[str, str], act: Callable[[Call], Reply]) -> Response[bytes]:
    """Verify, act, make durable, sign; the faults of the wire strike here."""
    banks, path = of(request), request.scope["raw_path"].decode("ascii")
    faults = banks.faults
    if faults.strikes("answer_5xx", path):
        return Response(_GARBAGE, status_code=502, media_type="text/html")
    bank, body = _bank(name), await request.body()
    facts, content = _worked(banks, bank, roots[0], act, body)
    await banks.store.flush()
    if faults.strikes("timeout_after_acting", path):
        await asyncio.sleep(faults.hang_s)
    if faults.strikes("lost_answers", path):
        return Response(_GARBAGE, status_code=500, media_type="text/html")
    signed = banks.key.signed(forms.document(bank, roots[1], facts), broken=faults.strikes("wrong_signatures", path))
    if faults.strikes("unsigned_answers", path):
        del signed["signMsg"]
    text = urlencode(signed | ({"fileContent": base64.b64encode(content).decode()} if content else {})).encode()
    if faults.strikes("garbage", path):
        text = b"\x00\xff" + text[: len(text) // 2]
    if faults.strikes("replayed_answers", path):
        text = banks.last_answer.get(path, text)
    banks.last_answer[path] = text
    return Response(text, status_code=200, media_type=FORM)


def _worked(
    banks: NetBanks, bank: Bank, root: str, act: Callable[[Call], Reply], body: bytes
) -> tuple[dict[str, str], bytes | None]:
    number = ""
    now = clock.now()
    try:
        form = forms.form_of(body)
        tree = forms.opened(bank, form, root=_root_of(form, bank, root))[0]
        number = forms.text(tree, "requestNo")
        if banks.faults.strikes("busy"):
            return {"requestNo": number, "retCode": "BUSY", "retMsg": "系统繁忙"}, None
        merchant, tree, _document = _verified(banks, bank, body, root=tree.tag, mer_id="merID")
        banks.settle_due(now=now)
        reply = act(Call(banks, bank, merchant, tree, now))
    except BankRefusal as refusal:
        return {"requestNo": number, "retCode": refusal.code, "retMsg": refusal.message}, None
    return {"requestNo": number, "retCode": "0", "retMsg": ""} | reply.facts, reply.content


def _root_of(form: dict[str, str], bank: Bank, root: str) -> str:
    """Return which question it is: a refund and the query of one come to the same address."""
    if root != "RefundReq":
        return root
    try:
        forms.opened(bank, form, root="RefundQueryReq")
    except BankRefusal:
        return root
    return "RefundQueryReq"


def _facts(banks: NetBanks, bank: Bank, order: Order) -> dict[str, Any]:
    merchant = banks.merchants.get(f"{bank.name}/{order.mer_id}")
    return {
        "bank": bank,
        "order": order,
        "amount": yuan(order.amount_fen),
        "merchant": merchant.name if merchant else order.mer_id,
    }


def _page(facts: dict[str, Any], *, status: int = 200) -> Response[str]:
    text = _templates.get_template("payer.html").render(facts)
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=_SECURITY)


def _stamp(moment: datetime | None) -> str:
    return f"{moment.astimezone(BEIJING):%Y%m%d%H%M%S}" if moment else ""


HANDLERS: list[HTTPRouteHandler] = [pay_page, confirm, query, refund, file]
