"""What merchants call: every request checked, every answer (refusals included) signed; the faults strike here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import AskBill, Asked, AskRefund, Code, Merchant, Named, NamedRefund, Refused

WINDOW = timedelta(minutes=5)
_GARBAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_NOT_OURS = Response(b'{"code":"NOT_SIGNED_BY_A_MERCHANT"}', status_code=401, media_type="application/json")
Wire = Request[Any, Any, Any]
Shape = TypeVar("Shape", bound=msgspec.Struct)
Act = Callable[[bytes, datetime], dict[str, Any] | bytes]


class _Caller(NamedTuple):
    merchant: Merchant
    nonce: str
    body: bytes


def asked_of(body: bytes, shape: type[Shape]) -> Shape:
    """Return what is asked. Raises ``BAD_REQUEST``."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(Code.BAD_REQUEST, str(error)) from error


async def answer(request: Wire, books: Books, act: Act) -> Response[bytes]:
    """Check, act, make durable, sign."""
    faults, path = books.faults, request.scope["raw_path"].decode("ascii")
    if faults.delay_s and faults.path in path:
        await asyncio.sleep(faults.delay_s)
    if faults.strikes("answer_5xx", path):
        return Response(_GARBAGE, status_code=502, media_type="text/html")
    now = clock.now()
    caller = _caller(request, books, path, await request.body(), now)
    if caller is None:
        return _NOT_OURS
    content = _content(books, caller, act, path, now)
    await books.store.flush()
    if faults.strikes("timeout_after_acting", path):
        await asyncio.sleep(faults.hang_s)
    if faults.strikes("lost_answers", path):
        return Response(_GARBAGE, status_code=500, media_type="text/html")
    if faults.strikes("garbage", path):
        content = b"\x00\xff" + content[: len(content) // 2]
    headers = {}
    if not faults.strikes("unsigned_answers", path):
        signed = b"?" + content if faults.strikes("wrong_signatures", path) else content
        mac = HmacSm3(bytes.fromhex(caller.merchant.secret_hex))
        headers = {"X-Sign": mac.digest(f"200\n{caller.nonce}\n".encode() + signed).hex()}
    return Response(content, status_code=200, media_type="application/json", headers=headers)


def _content(books: Books, caller: _Caller, act: Act, path: str, now: datetime) -> bytes:
    if books.faults.strikes("busy", path):
        return msgspec.json.encode({"code": Code.BUSY, "message": "too many requests; nothing was done"})
    books.settle_due(now=now)
    try:
        _own(caller)
        told = act(caller.body, now)
    except Refused as refused:
        told = {"code": refused.code, "message": refused.message}
    return told if isinstance(told, bytes) else msgspec.json.encode({"code": "OK"} | told)


def _own(caller: _Caller) -> None:
    if asked_of(caller.body, _Any).merchant_id != caller.merchant.merchant_id:
        raise Refused(Code.BAD_REQUEST, "the merchant of the signature is another one")


class _Any(msgspec.Struct, frozen=True):
    merchant_id: str


def _caller(request: Wire, books: Books, path: str, body: bytes, now: datetime) -> _Caller | None:
    """Return who signed the request, or nobody."""
    head = request.headers
    nonce, timestamp = head.get("X-Nonce", ""), head.get("X-Timestamp", "")
    found = [each for each in books.merchants if each.app_id == head.get("X-App-Id")]
    if not found or not nonce or nonce in books.nonces:
        return None
    try:
        code = bytes.fromhex(head.get("X-Sign", ""))
        signed = f"{request.method}\n{path}\n{timestamp}\n{nonce}\n".encode() + body
        HmacSm3(bytes.fromhex(found[0].secret_hex)).verify(signed, code)
        if abs(datetime.fromtimestamp(int(timestamp), UTC) - now) > WINDOW:
            return None
    except (ValueError, OverflowError, SignatureInvalid):
        return None
    for old in [name for name, seen in books.nonces.items() if now - seen > 2 * WINDOW]:
        del books.nonces[old]
    books.nonces[nonce] = now
    return _Caller(found[0], nonce, body)


def handlers(
    books_of: Callable[[Wire], Books], *, prefix: str, noun: str, question: type[Asked]
) -> list[HTTPRouteHandler]:
    """Return the routes of one party under ``prefix``; ``noun`` is what it calls a payment."""

    @post(f"{prefix}/v1/{noun}", status_code=200)
    async def place(request: Wire) -> Response[bytes]:
        books = books_of(request)

        def act(body: bytes, now: datetime) -> dict[str, Any]:
            return {"payment": books.place(asked_of(body, question), now=now).shown()}

        return await answer(request, books, act)

    @post(f"{prefix}/v1/{noun}/query", status_code=200)
    async def query(request: Wire) -> Response[bytes]:
        books = books_of(request)

        def act(body: bytes, _now: datetime) -> dict[str, Any]:
            named = asked_of(body, Named)
            found = books.payment(named.merchant_id, named.payment_no)
            if found.state == "settled" and books.faults.strikes("read_lag"):
                found = msgspec.structs.replace(found, state="pending", settled_at=None)
            return {"payment": found.shown()}

        return await answer(request, books, act)

    @post(f"{prefix}/v1/{noun}/revoke", status_code=200)
    async def revoke(request: Wire) -> Response[bytes]:
        books = books_of(request)

        def act(body: bytes, now: datetime) -> dict[str, Any]:
            named = asked_of(body, Named)
            return {"payment": books.revoke(named.merchant_id, named.payment_no, now=now).shown()}

        return await answer(request, books, act)

    return [place, query, revoke, *_refunds(books_of, prefix), _bills(books_of, prefix)]


def _refunds(books_of: Callable[[Wire], Books], prefix: str) -> list[HTTPRouteHandler]:
    @post(f"{prefix}/v1/refunds", status_code=200)
    async def refund(request: Wire) -> Response[bytes]:
        books = books_of(request)

        def act(body: bytes, now: datetime) -> dict[str, Any]:
            return {"refund": books.refund(asked_of(body, AskRefund), now=now).shown()}

        return await answer(request, books, act)

    @post(f"{prefix}/v1/refunds/query", status_code=200)
    async def query_refund(request: Wire) -> Response[bytes]:
        books = books_of(request)

        def act(body: bytes, _now: datetime) -> dict[str, Any]:
            named = asked_of(body, NamedRefund)
            return {"refund": books.refund_named(named.merchant_id, named.refund_no).shown()}

        return await answer(request, books, act)

    return [refund, query_refund]


def _bills(books_of: Callable[[Wire], Books], prefix: str) -> HTTPRouteHandler:
    @post(f"{prefix}/v1/bills", status_code=200)
    async def bill(request: Wire) -> Response[bytes]:
        books = books_of(request)

        def act(body: bytes, now: datetime) -> bytes:
            named = asked_of(body, AskBill)
            text = books.bill(named.merchant_id, named.day, now=now)
            return text[: len(text) // 2] if books.faults.strikes("broken_bills") else text

        return await answer(request, books, act)

    return bill
