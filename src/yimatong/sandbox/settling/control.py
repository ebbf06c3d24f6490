"""The control port of a party that settles. Tests, drills and the demonstration use it; production code never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from yimatong.kit import clock
from yimatong.sandbox.notifying import again
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import Code, Conditions, Faults, Merchant, Notice, Payment, Refund, Refused
from yimatong.sandbox.settling.wire import Wire


class EndPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring a pending payment to an end now; ``reason`` declines it."""

    merchant_id: str
    payment_no: str
    reason: str = ""


class EndRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring a refund to an end now."""

    merchant_id: str
    refund_no: str
    state: Literal["done", "failed", "closed"] = "done"


class SendAgain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send a notice again now, whatever became of it."""

    notice_id: str


def controls(books_of: Callable[[Wire], Books], *, name: str) -> list[HTTPRouteHandler]:
    """Return the control routes of one party under ``/control/{name}``."""
    base = f"/control/{name}"

    @post(f"{base}/merchants", status_code=200)
    async def register(request: Wire, data: JSONBody[Merchant]) -> Merchant:
        books_of(request).merchants.put(data.merchant_id, data)
        await books_of(request).store.flush()
        return data

    @post(f"{base}/faults", status_code=200)
    async def set_faults(request: Wire, data: JSONBody[Faults]) -> Faults:
        books_of(request).faults = data
        return data

    @post(f"{base}/conditions", status_code=200)
    async def set_conditions(request: Wire, data: JSONBody[Conditions]) -> Conditions:
        books_of(request).set_conditions(data)
        await books_of(request).store.flush()
        return data

    return [register, set_faults, set_conditions, *_shown(books_of, base), *_ended(books_of, base)]


def _shown(books_of: Callable[[Wire], Books], base: str) -> list[HTTPRouteHandler]:
    @get(f"{base}/payments")
    async def payments(request: Wire) -> list[Payment]:
        return list(books_of(request).payments)

    @get(f"{base}/refunds")
    async def refunds(request: Wire) -> list[Refund]:
        return list(books_of(request).refunds)

    @get(f"{base}/notices")
    async def notices(request: Wire) -> list[Notice]:
        return list(books_of(request).notices)

    return [payments, refunds, notices]


def _ended(books_of: Callable[[Wire], Books], base: str) -> list[HTTPRouteHandler]:
    @post(f"{base}/settle", status_code=200)
    async def settle(request: Wire, data: JSONBody[EndPayment]) -> dict[str, Any]:
        books = books_of(request)
        found = books.payment(data.merchant_id, data.payment_no)
        if found.state == "pending":
            now = clock.now()
            found = books.decline(found, data.reason, now=now) if data.reason else books.settle(found, now=now)
        await books.store.flush()
        return found.shown()

    @post(f"{base}/settle-refund", status_code=200)
    async def settle_refund(request: Wire, data: JSONBody[EndRefund]) -> dict[str, Any]:
        books = books_of(request)
        ended = books.end_refund(books.refund_named(data.merchant_id, data.refund_no), data.state, now=clock.now())
        await books.store.flush()
        return ended.shown()

    @post(f"{base}/notices/send-again", status_code=200)
    async def send_again(request: Wire, data: JSONBody[SendAgain]) -> Notice:
        books = books_of(request)
        notice = again(books.notices, data.notice_id, unknown=Refused(Code.UNKNOWN_NUMBER, "no such notice"))
        books.save_notice(notice)
        await books.store.flush()
        return notice

    return [settle, settle_refund, send_again]
