r"""What hospitals call, and the control port. ``POST /ncms/v1/{verb}``; requests and answers carry an HMAC-SM3.

The code of a request is over ``METHOD\nPATH\nTIMESTAMP\nNONCE\nBODY``, a nonce counts once within five minutes; the
code of an answer is over ``STATUS\nNONCE\nBODY`` with the request's nonce, refusals too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.sandbox.ncms.agency import Agency
from yimatong.sandbox.ncms.rows import (
    About,
    AboutRefund,
    AgencyError,
    Bill,
    Faults,
    GiveBack,
    GivenBack,
    Hospital,
    Member,
    Presettle,
    Settle,
    Settlement,
)

WINDOW = timedelta(minutes=5)
GARBAGE = b"<html>502</html>"
Wire = Request[Any, Any, Any]
Verb = Callable[[Agency, Any, datetime], Any]
_VERBS: dict[str, tuple[type[msgspec.Struct], Verb]] = {
    "presettle": (Presettle, lambda agency, asked, now: agency.presettle(asked, now=now)),
    "settle": (Settle, lambda agency, asked, now: agency.settle(asked, now=now)),
    "query": (About, lambda agency, asked, now: agency.query(asked, now=now)),
    "cancel": (About, lambda agency, asked, now: agency.cancel(asked, now=now)),
    "refund": (GiveBack, lambda agency, asked, now: agency.refund(asked, now=now)),
    "refund-query": (AboutRefund, lambda agency, asked, now: agency.refund_query(asked, now=now)),
    "bill": (Bill, lambda agency, asked, now: agency.bill(asked, now=now)),
}


def _agency(request: Wire) -> Agency:
    found: Agency = request.app.state.ncms
    return found


@post("/ncms/v1/{verb:str}", status_code=200)
async def call(request: Wire, verb: FromPath[str]) -> Response[bytes]:
    """Verify, act, make durable, sign; the faults of the wire strike here."""
    agency, path = _agency(request), request.scope["raw_path"].decode("ascii")
    faults = agency.faults
    if faults.strikes("answer_5xx", path) or (verb == "cancel" and faults.strikes("lost_cancels", path)):
        return Response(GARBAGE, status_code=502)
    if faults.strikes("garbage", path):
        return Response(GARBAGE, status_code=200)
    hospital = agency.hospitals.get(request.headers.get("x-app-id", ""))
    if hospital is None:
        return Response(b'{"code":"UNKNOWN_APP"}', status_code=401)
    mac, nonce = HmacSm3(bytes.fromhex(hospital.secret)), request.headers.get("x-nonce", "")
    try:
        body = await _opened(agency, request, mac, path)
        status, content = 200, _acted(agency, hospital, verb, body)
    except AgencyError as error:
        status, content = error.status, msgspec.json.encode({"code": error.code, "message": error.message})
    await agency.store.flush()
    if faults.strikes("lost_answers", path):
        await asyncio.sleep(faults.hang_s)
        return Response(GARBAGE, status_code=504)
    signed = b"?" if faults.strikes("wrong_signatures", path) else f"{status}\n{nonce}\n".encode() + content
    headers = {"X-Sign": mac.digest(signed).hex()}
    return Response(content, status_code=status, media_type="application/json", headers=headers)


async def _opened(agency: Agency, request: Wire, mac: HmacSm3, path: str) -> bytes:
    """Return the body of a genuine request. Raises ``AgencyError``."""
    head, body, now = request.headers, await request.body(), clock.now()
    nonce, stamp = head.get("x-nonce", ""), head.get("x-timestamp", "")
    try:
        mac.verify(f"POST\n{path}\n{stamp}\n{nonce}\n".encode() + body, bytes.fromhex(head.get("x-sign", "")))
        moment = datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, SignatureInvalid) as error:
        raise AgencyError(401, "NOT_SIGNED", "签名不正确") from error
    for old in [name for name, seen in agency.nonces.items() if now - seen > 2 * WINDOW]:
        del agency.nonces[old]
    if abs(moment - now) > WINDOW or not nonce or nonce in agency.nonces:
        raise AgencyError(401, "TOO_OLD", "请求已过期或重复")
    agency.nonces[nonce] = now
    return body


def _acted(agency: Agency, hospital: Hospital, verb: str, body: bytes) -> bytes:
    if agency.faults.strikes("busy", f"/ncms/v1/{verb}"):
        raise AgencyError(429, "BUSY", "请稍后再试")
    if verb not in _VERBS:
        raise AgencyError(404, "NO_SUCH_VERB", verb)
    shape, act = _VERBS[verb]
    try:
        asked = msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise AgencyError(400, "INVALID_REQUEST", str(error)) from error
    if getattr(asked, "institution", None) != hospital.institution:
        raise AgencyError(403, "ANOTHER_INSTITUTION", "机构不一致")
    told = act(agency, asked, clock.now())
    if isinstance(told, list):
        return b"".join(msgspec.json.encode(row) + b"\n" for row in told)
    return msgspec.json.encode(told)


class WhichAttempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which settlement."""

    attempt_no: str


class WhichDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which Beijing day."""

    date: date


@post("/control/ncms/hospitals", status_code=200)
async def register(request: Wire, data: JSONBody[Hospital]) -> Hospital:
    """Admit a hospital, or change its secret."""
    agency = _agency(request)
    agency.hospitals.put(data.app_id, data)
    await agency.store.flush()
    return data


@post("/control/ncms/members", status_code=200)
async def enrol(request: Wire, data: JSONBody[Member]) -> Member:
    """Enrol a member, or change what her family's account holds."""
    agency = _agency(request)
    agency.members.put(data.id_number, data)
    await agency.store.flush()
    return data


@get("/control/ncms/members")
async def members(request: Wire) -> list[Member]:
    """Show every member."""
    return list(_agency(request).members)


@get("/control/ncms/settlements")
async def settlements(request: Wire) -> list[Settlement]:
    """Show every settlement."""
    return list(_agency(request).settlements)


@get("/control/ncms/refunds")
async def refunds(request: Wire) -> list[GivenBack]:
    """Show every refund."""
    return list(_agency(request).refunds)


@post("/control/ncms/finish", status_code=200)
async def finish(request: Wire, data: JSONBody[WhichAttempt]) -> Settlement:
    """Bring a settlement that is under way to its end."""
    agency = _agency(request)
    try:
        done = agency.finish(data.attempt_no)
    except AgencyError as error:
        raise LookupError(error.message) from error
    await agency.store.flush()
    return done


@post("/control/ncms/close-day", status_code=200)
async def close_day(request: Wire, data: JSONBody[WhichDay]) -> WhichDay:
    """Let the bill of a day be had at once."""
    _agency(request).closed_days.add(data.date)
    return data


@post("/control/ncms/faults", status_code=200)
async def set_faults(request: Wire, data: JSONBody[Faults]) -> Faults:
    """Replace all faults; an empty object ends them."""
    _agency(request).faults = data
    return data


HANDLERS: list[HTTPRouteHandler] = [call]
CONTROL: list[HTTPRouteHandler] = [
    register,
    enrol,
    members,
    settlements,
    refunds,
    finish,
    close_day,
    set_faults,
]
