"""The control port of the simulated insurance. Tests, drills and the demonstration use it; production code never."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody

from yimatong.kit import clock
from yimatong.sandbox.medical import bill
from yimatong.sandbox.medical.faults import Faults
from yimatong.sandbox.medical.notify import save, tell_settled
from yimatong.sandbox.medical.rows import (
    Conditions,
    Credential,
    Institution,
    InsuranceError,
    Notice,
    Order,
    Person,
    Refund,
    Settlement,
)
from yimatong.sandbox.medical.state import SETTLING, UNKNOWN_ORDER, Insurance
from yimatong.sandbox.notifying import again

Control = Request[Any, Any, Any]


class PlatformKeyShown(msgspec.Struct, frozen=True):
    """What a hospital configures to verify answers and notices."""

    platform_public_key: str


class Issue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """For whom to issue a credential, as her own app would."""

    id_number: str
    name: str
    kind: Literal["ecToken", "payAuthNo", "setlCode"] = "ecToken"
    minutes: int = 30


class WhichOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which order of the mobile centre."""

    pay_ord_id: str


class WhichRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which refund of the mobile centre."""

    app_refd_sn: str


class WhichDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which Beijing day."""

    date: date


class WhichNotice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which notice to send again now."""

    notice_id: str


def _insurance(request: Control) -> Insurance:
    found: Insurance = request.app.state.insurance
    return found


@post("/control/insurance/institutions", status_code=200)
async def register(request: Control, data: JSONBody[Institution]) -> PlatformKeyShown:
    """Admit a hospital, or change its keys and the address of its notices."""
    insurance = _insurance(request)
    insurance.institutions.put(data.fixmedins_code, data)
    await insurance.store.flush()
    return PlatformKeyShown(insurance.key.public_hex)


@post("/control/insurance/people", status_code=200)
async def enrol(request: Control, data: JSONBody[Person]) -> Person:
    """Enrol a person, or change her insurance, balance or deductible."""
    insurance = _insurance(request)
    made = insurance.people.enrol(data)
    await insurance.store.flush()
    return made


@get("/control/insurance/people")
async def people(request: Control) -> list[Person]:
    """Show everybody who is insured."""
    return list(_insurance(request).people.rows)


@post("/control/insurance/credentials", status_code=200)
async def issue(request: Control, data: JSONBody[Issue]) -> Credential:
    """Issue a credential token, a payment authorisation or a settlement code."""
    insurance = _insurance(request)
    person = insurance.people.find(data.id_number, data.name)
    made = insurance.people.issue(person, data.kind, now=clock.now(), minutes=data.minutes)
    await insurance.store.flush()
    return made


@get("/control/insurance/orders")
async def orders(request: Control, fixmedins_code: FromQuery[str] = "") -> list[Order]:
    """List the orders of the mobile centre."""
    return [each for each in _insurance(request).orders if fixmedins_code in ("", each.fixmedins_code)]


@get("/control/insurance/settlements")
async def settlements(request: Control, fixmedins_code: FromQuery[str] = "") -> list[Settlement]:
    """List the settlements of both interfaces."""
    return [each for each in _insurance(request).settlements if fixmedins_code in ("", each.fixmedins_code)]


@get("/control/insurance/refunds")
async def refunds(request: Control) -> list[Refund]:
    """List the refunds of the mobile centre."""
    return list(_insurance(request).refunds)


@post("/control/insurance/settle", status_code=200)
async def settle(request: Control, data: JSONBody[WhichOrder]) -> Order:
    """Settle an order that is still 结算中."""
    insurance, now = _insurance(request), clock.now()
    order = _order(insurance, data.pay_ord_id)
    if order.ord_stas != SETTLING:
        raise UNKNOWN_ORDER
    settled = insurance.settle_order(order, now=now)
    tell_settled(insurance, insurance.with_app(order.app_id), settled, now=now)
    await insurance.store.flush()
    return settled


@post("/control/insurance/take-back", status_code=200)
async def take_back(request: Control, data: JSONBody[WhichOrder]) -> Order:
    """Take a settled order back without the hospital (settled, then cancelled)."""
    insurance = _insurance(request)
    taken = insurance.take_back(_order(insurance, data.pay_ord_id), now=clock.now())
    await insurance.store.flush()
    return taken


@post("/control/insurance/finish-refund", status_code=200)
async def finish_refund(request: Control, data: JSONBody[WhichRefund]) -> Refund:
    """Let an exceptional refund come to a good end."""
    insurance = _insurance(request)
    found = [each for each in insurance.refunds if each.app_refd_sn == data.app_refd_sn]
    if len(found) != 1:
        raise UNKNOWN_ORDER
    done = insurance.finish_refund(found[0], now=clock.now())
    await insurance.store.flush()
    return done


@post("/control/insurance/close-day", status_code=200)
async def close_day(data: JSONBody[WhichDay]) -> WhichDay:
    """Let the detail file of a day be had at once."""
    bill.close(data.date)
    return data


@get("/control/insurance/faults")
async def faults(request: Control) -> Faults:
    """Return what is still to go wrong."""
    return _insurance(request).faults


@post("/control/insurance/faults", status_code=200)
async def set_faults(request: Control, data: JSONBody[Faults]) -> Faults:
    """Replace all faults; an empty object ends them."""
    _insurance(request).faults = data
    return data


@post("/control/insurance/conditions", status_code=200)
async def set_conditions(request: Control, data: JSONBody[Conditions]) -> Conditions:
    """Replace all lasting conditions."""
    insurance = _insurance(request)
    insurance.set_conditions(data)
    await insurance.store.flush()
    return data


@get("/control/insurance/notices")
async def notices(request: Control) -> list[Notice]:
    """List the notices."""
    return list(_insurance(request).notices)


@post("/control/insurance/notices/send-again", status_code=200)
async def send_again(request: Control, data: JSONBody[WhichNotice]) -> Notice:
    """Queue a notice again: dropped, given up or delivered before."""
    insurance = _insurance(request)
    notice = again(insurance.notices, data.notice_id, unknown=InsuranceError(code="404", message="no such notice"))
    save(insurance, notice)
    await insurance.store.flush()
    return notice


def _order(insurance: Insurance, pay_ord_id: str) -> Order:
    order = insurance.orders.get(pay_ord_id)
    if order is None:
        raise UNKNOWN_ORDER
    return order


HANDLERS: list[HTTPRouteHandler] = [
    register,
    enrol,
    people,
    issue,
    orders,
    settlements,
    refunds,
    settle,
    take_back,
    finish_refund,
    close_day,
    faults,
    set_faults,
    set_conditions,
    notices,
    send_again,
]
