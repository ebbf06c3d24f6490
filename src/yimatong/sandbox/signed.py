r"""How the simulated police register, bank, insurer and national index are called: signed, as such services publish it.

``X-App-Id``, ``X-Timestamp`` (Unix seconds, five minutes), ``X-Nonce`` (once) and ``X-Sign``: hexadecimal HMAC-SM3 over
``METHOD\nPATH\nTIMESTAMP\nNONCE\nBODY``; the answer carries ``X-Sign`` over ``STATUS\nNONCE\nBODY``. The test site's id
and secret are published here, like a bank's: they open nothing else. ``/control/parties/{party}/behaviour`` makes a
party misbehave.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock

APP_ID = "ymt-demo"
SECRET_HEX = "9a22d7ceb5ac015e3cc73f9695983728cc1830040374027c5374375f8c0abb50"  # noqa: S105 -- published on purpose
WINDOW = timedelta(minutes=5)
Wire = Request[Any, Any, Any]
Question = TypeVar("Question", bound=msgspec.Struct)


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a party behaves from now on.

    ``lost_answers`` requests are worked on and then answered with 500, ``busy`` ones are answered with 429.
    """

    state: Literal["up", "down"] = "up"
    slow_s: float = 0.0
    lost_answers: int = 0
    busy: int = 0


class PartyError(Exception):
    """An answer other than success, as a party gives it."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


class Parties:
    """What the three parties share: our test keys, seen nonces, behaviour."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self._mac = HmacSm3(bytes.fromhex(SECRET_HEX))
        self._nonces: dict[str, datetime] = {}

    async def receive(self, party: str, request: Wire, question: type[Question]) -> tuple[Question, str]:
        """Check a request and return what it asks, with its nonce.

        Raises:
            PartyError: 401 not signed by us, 400 another shape, 429 too often, 503 down.
        """
        body, nonce = await self.opened(party, request)
        try:
            return msgspec.json.decode(body, type=question), nonce
        except msgspec.DecodeError as error:
            raise PartyError(400, str(error)) from error

    async def opened(self, party: str, request: Wire) -> tuple[bytes, str]:
        """Check a request and return its body, whatever its form, with its nonce.

        Raises:
            PartyError: 401 not signed by us, 429 too often, 503 down.
        """
        behaviour = self.behaviours.get(party, Behaviour())
        if behaviour.busy:
            self.behaviours[party] = msgspec.structs.replace(behaviour, busy=behaviour.busy - 1)
            raise PartyError(429, "too many requests", {"Retry-After": "30"})
        if behaviour.state == "down":
            raise PartyError(503, "service is down")
        body = await request.body()
        nonce = self._check(request, body)
        await asyncio.sleep(behaviour.slow_s)
        return body, nonce

    def answer(self, party: str, nonce: str, reply: msgspec.Struct) -> Response[bytes]:
        """Sign an answer, or lose it on demand.

        Raises:
            PartyError: 500, when an answer is to be lost.
        """
        return self.sealed(party, nonce, msgspec.json.encode(reply), media_type="application/json")

    def sealed(self, party: str, nonce: str, body: bytes, *, media_type: str) -> Response[bytes]:
        """Sign an answer of any form, or lose it on demand; raises as ``answer``."""
        behaviour = self.behaviours.get(party, Behaviour())
        if behaviour.lost_answers:
            self.behaviours[party] = msgspec.structs.replace(behaviour, lost_answers=behaviour.lost_answers - 1)
            raise PartyError(500, "done, and the answer got lost")
        code = self._mac.digest(f"200\n{nonce}\n".encode() + body).hex()
        return Response(body, status_code=200, media_type=media_type, headers={"X-Sign": code})

    def _check(self, request: Wire, body: bytes) -> str:
        head, now = request.headers, clock.now()
        nonce, timestamp = head.get("X-Nonce", ""), head.get("X-Timestamp", "")
        path = request.scope["raw_path"].decode("ascii")
        try:
            if head.get("X-App-Id") != APP_ID or not nonce:
                raise PartyError(401, "unknown X-App-Id, or no X-Nonce")
            code = bytes.fromhex(head.get("X-Sign", ""))
            self._mac.verify(f"{request.method}\n{path}\n{timestamp}\n{nonce}\n".encode() + body, code)
            if abs(datetime.fromtimestamp(int(timestamp), UTC) - now) > WINDOW:
                raise PartyError(401, "X-Timestamp is more than five minutes off")
        except (ValueError, OverflowError, SignatureInvalid) as error:
            raise PartyError(401, "X-Sign does not fit") from error
        for old in [name for name, seen in self._nonces.items() if now - seen > 2 * WINDOW]:
            del self._nonces[old]
        if nonce in self._nonces:
            raise PartyError(401, "X-Nonce was used before")
        self._nonces[nonce] = now
        return nonce


def parties(request: Wire) -> Parties:
    """Return the shared part of the parties."""
    found: Parties = request.app.state.parties
    return found


@post("/control/parties/{party:str}/behaviour", status_code=200)
async def behave(
    request: Wire,
    party: Annotated[str, PathParameter(pattern="^(police|bank|insurer|national|receipts)(?!\\n)$")],
    data: JSONBody[Behaviour],
) -> Behaviour:
    """Set how a party behaves: up or down (503), slow, busy (429), losing answers after it has done its work."""
    parties(request).behaviours[party] = data
    return data


CONTROL: list[HTTPRouteHandler] = [behave]
