"""The control port of the simulated WeChat Pay. Tests, drills and the demonstration use it; production code never."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody

from yimatong.kit import clock
from yimatong.sandbox.notifying import again
from yimatong.sandbox.wechat import days, medical_wire, payment_codes
from yimatong.sandbox.wechat.rows import CertificateRow, Conditions, Faults, Merchant, Notice, Order, Refund, WireError
from yimatong.sandbox.wechat.state import WeChat

Control = Request[Any, Any, Any]
_ONE_EACH = ("amount", "channel_only", "platform_only", "fee", "duplicate", "status")


class PlatformKeyShown(msgspec.Struct, frozen=True):
    """What a merchant configures to verify answers and notices."""

    platform_key_id: str
    platform_public_key_pem: str


class PayOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which order the payer pays; ``mchid`` when two merchants use the same number."""

    out_trade_no: str
    mchid: str = ""


class CloseDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which Beijing day to close, and the differences to plant: ``count`` of each of ``kinds``, drawn by ``seed``."""

    date: date
    seed: int = 0
    kinds: tuple[str, ...] = _ONE_EACH
    count: int = 1
    mchid: str = ""


class DayClosed(msgspec.Struct, frozen=True, kw_only=True):
    """What was planted, for the test to look for; ``short`` counts by kind what found no row."""

    date: str
    bills: dict[str, str]
    planted: list[dict[str, Any]]
    short: dict[str, int]


class SettleRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bring a refund to an end now: ``SUCCESS``, ``ABNORMAL`` or ``CLOSED``."""

    mchid: str
    out_refund_no: str
    status: str = "SUCCESS"


class SendAgain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send a notice again now, whatever became of it."""

    notice_id: str


class RotateCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Make a platform certificate that counts for so many days."""

    days: float = 1825.0


def _wechat(request: Control) -> WeChat:
    found: WeChat = request.app.state.wechat
    return found


@get("/control/wechat/platform-key")
async def platform_key(request: Control) -> PlatformKeyShown:
    """Return the platform's public key and its id."""
    key = _wechat(request).key
    return PlatformKeyShown(key.key_id, key.public_pem)


@post("/control/wechat/merchants", status_code=200)
async def register(request: Control, data: JSONBody[Merchant]) -> PlatformKeyShown:
    """Admit a merchant, or replace its keys."""
    wechat = _wechat(request)
    wechat.register(data)
    await wechat.store.flush()
    return PlatformKeyShown(wechat.key.key_id, wechat.key.public_pem)


@get("/control/wechat/orders")
async def orders(request: Control, mchid: FromQuery[str] = "", trade_state: FromQuery[str] = "") -> list[Order]:
    """List orders, by merchant and trade state if asked."""
    return [
        each for each in _wechat(request).orders if mchid in ("", each.mchid) and trade_state in ("", each.trade_state)
    ]


@get("/control/wechat/refunds")
async def refunds(request: Control, mchid: FromQuery[str] = "") -> list[Refund]:
    """List refunds, by merchant if asked."""
    return [each for each in _wechat(request).refunds if mchid in ("", each.mchid)]


@post("/control/wechat/pay", status_code=200)
async def pay(request: Control, data: JSONBody[PayOrder]) -> dict[str, Any]:
    """Pay an order as its payer would."""
    wechat = _wechat(request)
    found = [each for each in wechat.orders_named(data.out_trade_no) if data.mchid in ("", each.mchid)]
    if len(found) != 1:
        raise WireError(404, "ORDER_NOT_EXIST", f"{len(found)} orders have this number")
    paid = wechat.pay(found[0], now=clock.now())
    await wechat.store.flush()
    return paid.answer()


@post("/control/wechat/settle-refund", status_code=200)
async def settle_refund(request: Control, data: JSONBody[SettleRefund]) -> dict[str, Any]:
    """End a refund now."""
    wechat = _wechat(request)
    if data.status not in ("SUCCESS", "ABNORMAL", "CLOSED"):
        raise WireError(400, "PARAM_ERROR", "status must be SUCCESS, ABNORMAL or CLOSED")
    refund = wechat.settle(wechat.refund_named(data.mchid, data.out_refund_no), data.status, now=clock.now())
    await wechat.store.flush()
    return refund.answer()


@post("/control/wechat/close-day", status_code=200)
async def close_day(request: Control, data: JSONBody[CloseDay]) -> DayClosed:
    """Write the bills of a day, with differences planted in them."""
    wechat = _wechat(request)
    closed, short = await days.close_day(
        wechat, data.date, seed=data.seed, kinds=data.kinds, count=data.count, mchid=data.mchid
    )
    await wechat.store.flush()
    return DayClosed(date=closed.date, bills=closed.sha1, planted=closed.planted, short=short)


@get("/control/wechat/faults")
async def faults(request: Control) -> Faults:
    """Return what is still to go wrong."""
    return _wechat(request).faults


@post("/control/wechat/faults", status_code=200)
async def set_faults(request: Control, data: JSONBody[Faults]) -> Faults:
    """Replace all faults; an empty object ends them."""
    _wechat(request).faults = data
    return data


@get("/control/wechat/conditions")
async def conditions(request: Control) -> Conditions:
    """Return clock offsets and the pace of notices and refunds."""
    return _wechat(request).conditions


@post("/control/wechat/conditions", status_code=200)
async def set_conditions(request: Control, data: JSONBody[Conditions]) -> Conditions:
    """Replace all lasting conditions."""
    wechat = _wechat(request)
    wechat.set_conditions(data)
    await wechat.store.flush()
    return data


@get("/control/wechat/notices")
async def notices(request: Control, mchid: FromQuery[str] = "", sent: FromQuery[str] = "") -> list[Notice]:
    """List notices, by merchant and state (``sent``) if asked."""
    return [each for each in _wechat(request).notices if mchid in ("", each.mchid) and sent in ("", each.state)]


@post("/control/wechat/notices/send-again", status_code=200)
async def send_again(request: Control, data: JSONBody[SendAgain]) -> Notice:
    """Queue a notice again: dropped, given up or delivered before."""
    wechat = _wechat(request)
    notice = again(wechat.notices, data.notice_id, unknown=WireError(404, "RESOURCE_NOT_EXISTS", "no such notice"))
    wechat.save_notice(notice)
    await wechat.store.flush()
    return notice


@get("/control/wechat/certificates")
async def certificates(request: Control) -> list[CertificateRow]:
    """List the platform's certificates that count, the newest last."""
    wechat = _wechat(request)
    valid = wechat.signers.valid(moment=wechat.wire_time(clock.now()))
    await wechat.store.flush()
    return valid


@post("/control/wechat/certificates", status_code=200)
async def rotate_certificate(request: Control, data: JSONBody[RotateCertificate]) -> CertificateRow:
    """Make a further certificate; notices that certificates sign are signed by it from now on."""
    wechat = _wechat(request)
    row = wechat.signers.rotate(moment=wechat.wire_time(clock.now()), days=data.days)
    await wechat.store.flush()
    return row


HANDLERS: list[HTTPRouteHandler] = [
    platform_key,
    register,
    orders,
    refunds,
    pay,
    settle_refund,
    close_day,
    faults,
    set_faults,
    conditions,
    set_conditions,
    notices,
    send_again,
    certificates,
    rotate_certificate,
    *payment_codes.CONTROL,
    *medical_wire.CONTROL,
]
