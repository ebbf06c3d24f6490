r"""A simulated hospital information system: receives the platform's signed notices and books each bill once.

The notice is ``POST /his/{institution_id}/notifications`` with an ``Idempotency-Key`` and ``Authorization:
YMT-HMAC-SM3 caller_id=...,timestamp=...,nonce=...,signature=...`` over
``METHOD\nPATH?QUERY\nTIMESTAMP\nNONCE\nIDEMPOTENCY_KEY\nBODY\n``; the signature is hexadecimal or base64. The shared
secret is given by the control port. Written from the platform's interface specification, not from its code.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec.structs import replace

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.sandbox.store import Store

SCHEME = "YMT-HMAC-SM3"
WINDOW = timedelta(minutes=5)
HEX_LENGTH = 64
_PART = re.compile(r'(\w+)="?([^",\s]*)"?')
Wire = Request[Any, Any, Any]


class Hospital(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One hospital's HIS: its shared secret and how it behaves.

    ``lost_answers`` counts notices that are booked and then answered with 500.
    """

    caller_id: str
    secret_hex: Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{2}){16,64}(?!\\n)$")]
    state: Literal["up", "down"] = "up"
    slow_s: float = 0.0
    lost_answers: int = 0


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a HIS behaves from now on."""

    state: Literal["up", "down"] = "up"
    slow_s: float = 0.0
    lost_answers: int = 0


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as it was booked; ``deliveries`` counts how often it came."""

    institution_id: str
    idempotency_key: str
    body_sha256: str
    event: dict[str, Any]
    booked_at: datetime
    deliveries: int = 1


class Correction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make the HIS's books differ: forget bookings by idempotency key, invent others."""

    forget: tuple[str, ...] = ()
    invent: tuple[dict[str, Any], ...] = ()


class HospitalError(Exception):
    """An answer other than success, as the HIS gives it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Hospitals:
    """All simulated hospitals."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.hospitals = store.table("his.hospitals", Hospital)
        self.bookings = store.table("his.bookings", Booking)
        self._nonces: dict[str, datetime] = {}

    def hospital(self, institution_id: str) -> Hospital:
        """Return a hospital. Raises 404."""
        found = self.hospitals.get(institution_id)
        if found is None:
            raise HospitalError(404, "no such hospital; register it on the control port")
        return found

    def check(self, hospital: Hospital, request: Wire, body: bytes, *, now: datetime) -> None:
        """Verify signature, window and nonce of a notice. Raises 401."""
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        parts = dict(_PART.findall(rest))
        if scheme != SCHEME or not {"caller_id", "timestamp", "nonce", "signature"} <= set(parts):
            raise HospitalError(401, "Authorization is missing or has another form")
        if parts["caller_id"] != hospital.caller_id:
            raise HospitalError(401, "unknown caller_id")
        sent_at = _moment(parts["timestamp"])
        if sent_at is None or abs(sent_at - now) > WINDOW:
            raise HospitalError(401, "timestamp is more than five minutes off")
        url = request.scope["raw_path"].decode("ascii")
        query = request.scope["query_string"].decode("ascii")
        head = (request.method, f"{url}?{query}" if query else url, parts["timestamp"], parts["nonce"])
        key = request.headers.get("Idempotency-Key", "")
        message = "\n".join((*head, key, "")).encode() + body + b"\n"
        try:
            HmacSm3(bytes.fromhex(hospital.secret_hex)).verify(message, _octets(parts["signature"]))
        except (SignatureInvalid, ValueError) as error:
            raise HospitalError(401, "signature does not fit") from error
        self._use(parts["nonce"], now)

    def book(self, institution_id: str, key: str, body: bytes, *, now: datetime) -> Booking:
        """Book a notice, or count its repetition. Raises 400, and 409 for another body under the same key."""
        if not key:
            raise HospitalError(400, "Idempotency-Key is missing")
        digest = hashlib.sha256(body).hexdigest()
        name = f"{institution_id}/{key}"
        known = self.bookings.get(name)
        if known is not None:
            if known.body_sha256 != digest:
                raise HospitalError(409, "this Idempotency-Key was used for another body")
            again = replace(known, deliveries=known.deliveries + 1)
            self.bookings.put(name, again)
            return again
        try:
            event = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise HospitalError(400, f"not a JSON object: {error}") from error
        booking = Booking(
            institution_id=institution_id, idempotency_key=key, body_sha256=digest, event=event, booked_at=now
        )
        self.bookings.put(name, booking)
        return booking

    def _use(self, nonce: str, now: datetime) -> None:
        for old in [name for name, seen in self._nonces.items() if now - seen > 2 * WINDOW]:
            del self._nonces[old]
        if nonce in self._nonces:
            raise HospitalError(401, "nonce was used before")
        self._nonces[nonce] = now


def _octets(signature: str) -> bytes:
    """Return the 32 octets of a code; raises ``ValueError``."""
    return bytes.fromhex(signature) if len(signature) == HEX_LENGTH else base64.b64decode(signature, validate=True)


def _moment(timestamp: str) -> datetime | None:
    if not timestamp.isdecimal():
        return None
    try:
        return datetime.fromtimestamp(int(timestamp), tz=UTC)
    except (OverflowError, ValueError):
        return None


def _hospitals(request: Wire) -> Hospitals:
    found: Hospitals = request.app.state.his
    return found


@post("/his/{institution_id:str}/notifications", status_code=200)
async def notification(request: Wire, institution_id: FromPath[str]) -> dict[str, bool]:
    """Receive a notice of the platform."""
    his = _hospitals(request)
    hospital = his.hospital(institution_id)
    await asyncio.sleep(hospital.slow_s)
    if hospital.state == "down":
        raise HospitalError(503, "the HIS is down")
    body, now = await request.body(), clock.now()
    his.check(hospital, request, body, now=now)
    booking = his.book(institution_id, request.headers.get("Idempotency-Key", ""), body, now=now)
    if hospital.lost_answers:
        his.hospitals.put(institution_id, replace(hospital, lost_answers=hospital.lost_answers - 1))
    await his.store.flush()
    if hospital.lost_answers:
        raise HospitalError(500, "booked, and the answer got lost")
    return {"received": True, "duplicate": booking.deliveries > 1}


@post("/control/his/{institution_id:str}", status_code=200)
async def register(request: Wire, institution_id: FromPath[str], data: JSONBody[Hospital]) -> dict[str, str]:
    """Admit a hospital, or replace its secret and behaviour."""
    his = _hospitals(request)
    his.hospitals.put(institution_id, data)
    await his.store.flush()
    return {"notification_path": f"/his/{institution_id}/notifications"}


@post("/control/his/{institution_id:str}/behaviour", status_code=200)
async def behave(request: Wire, institution_id: FromPath[str], data: JSONBody[Behaviour]) -> Behaviour:
    """Set how the HIS behaves: up or down (503), slow, losing answers after booking."""
    his = _hospitals(request)
    changed = replace(
        his.hospital(institution_id), state=data.state, slow_s=data.slow_s, lost_answers=data.lost_answers
    )
    his.hospitals.put(institution_id, changed)
    await his.store.flush()
    return data


@get("/control/his/{institution_id:str}/booked")
async def booked(request: Wire, institution_id: FromPath[str]) -> list[Booking]:
    """List what the HIS has booked, oldest first."""
    return [each for each in _hospitals(request).bookings if each.institution_id == institution_id]


@post("/control/his/{institution_id:str}/correct", status_code=200)
async def correct(request: Wire, institution_id: FromPath[str], data: JSONBody[Correction]) -> dict[str, int]:
    """Make the books of the HIS differ from the platform's."""
    his, now = _hospitals(request), clock.now()
    for key in data.forget:
        if his.bookings.get(f"{institution_id}/{key}") is None:
            raise HospitalError(404, f"nothing is booked under {key}")
    for key in data.forget:
        his.bookings.remove(f"{institution_id}/{key}")
    for number, event in enumerate(data.invent):
        body = msgspec.json.encode(event)
        his.book(institution_id, f"invented-{int(now.timestamp() * 1e6)}-{number}", body, now=now)
    await his.store.flush()
    return {"forgotten": len(data.forget), "invented": len(data.invent)}


HANDLERS: list[HTTPRouteHandler] = [notification]
CONTROL: list[HTTPRouteHandler] = [register, behave, booked, correct]
