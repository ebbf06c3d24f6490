"""The door of the health interfaces: who calls, by the credentials that standard clients can send.

A caller of the platform identifies itself by HTTP Basic (RFC 7617: caller id, and its secret in hexadecimal), which
tools of the trade speak, or by the platform's own signature, which answers are then signed with, too. TLS ends at the
operator's reverse proxy. For conformance tools on the same machine a demonstration may name one caller that counts
where no credentials came (``open_caller``); a request that passed a proxy never counts as such.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from yimatong.access import request_auth
from yimatong.access.asgi import Answer, ASGIApp, ASGIScope, Receive, Send, read_body, replay
from yimatong.access.callers import Directory, KnownCaller
from yimatong.access.edge import SignedEdge
from yimatong.access.errors import CallerUnknown, FrontRequired, IdInvalid
from yimatong.gateways.errors import CredentialsMissing, RequestsTooMany
from yimatong.kit import clock
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id
from yimatong.kit.web import log_failure, translate

BODY_BYTES_MAX: Final = 1 << 20
"""A message of many persons is larger than a request of the native API."""

_KEPT: Final = 10_000
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_SECRET: Final = re.compile(r"[0-9a-f]{64}", re.ASCII | re.IGNORECASE)

Refuse = Callable[[ASGIScope, PlatformError, str, Mapping[str, str]], Answer]
"""Writes the answer to a request that was refused: scope, error, request id, headers."""


class Admitted(NamedTuple):
    """Who calls. ``signed`` is the nonce of a signed request, to whose answer a signature belongs."""

    known: KnownCaller
    signed: str


class Pace:
    """How many requests a second each caller may send: a bucket that fills with ``per_s`` and holds twice as many."""

    def __init__(self, per_s: float) -> None:
        """Start with full buckets; 0 a second sets no limit."""
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def take(self, caller_id: str, *, now: datetime) -> None:
        """Take one request out of the caller's bucket.

        Raises:
            RequestsTooMany: it is empty.
        """
        if not self._per_s:
            return
        most = 2 * self._per_s
        left, then = self._left.pop(caller_id, (most, now))
        left = min(most, left + max((now - then).total_seconds(), 0.0) * self._per_s)
        self._left[caller_id] = (max(left - 1, 0.0) if left >= 1 else left, now)
        while len(self._left) > _KEPT:
            self._left.popitem(last=False)
        if left < 1:
            raise RequestsTooMany(retry_after_s=max(1, round((1 - left) / self._per_s)))


class Door:
    """ASGI middleware: what comes through carries ``caller``, ``now``, ``request_id`` and ``body`` in its state."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        directory: Directory,
        public: Callable[[str], bool],
        refuse: Refuse,
        pace: Pace,
        open_caller: str = "",
    ) -> None:
        """Keep the application; paths for which ``public`` holds pass without credentials."""
        self._app = app
        self._directory = directory
        self._public = public
        self._refuse = refuse
        self._pace = pace
        self._open_caller = open_caller
        self._signed = SignedEdge(app, directory=directory, public=public, own_nonce=frozenset())

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] != "http" or self._public(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        state = scope.setdefault("state", {})
        state["request_id"] = new_id("req")
        now = state["now"] = clock.now()
        signer = None
        try:
            body = await read_body(receive, limit_bytes=BODY_BYTES_MAX)
            admitted = await self._admit(scope, headers, body, now=now)
            known = admitted.known
            await self._directory.take_nonce(known.caller.caller_id, admitted.signed or secrets.token_hex(16), now=now)
            if admitted.signed:
                signer = known.key, admitted.signed
            self._pace.take(known.caller.caller_id, now=now)
            state |= {"caller": known.caller, "nonce": admitted.signed, "idempotency_key": "", "body": body}
            answer = Answer()
            await self._app(scope, replay(body, receive), answer.collect)
        except Exception as error:  # noqa: BLE001 -- the last resort of the door: every failure is answered
            refusal = translate(error)
            log_failure(error, refusal, request_id=state["request_id"], path=scope["path"])
            answer = self._refuse(scope, refusal, state["request_id"], headers)
        await answer.send(send, signer=signer, now=now, request_id=state["request_id"])

    async def _admit(self, scope: ASGIScope, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Admitted:
        """Return who calls.

        Raises:
            CredentialsMissing, CallerUnknown, CallerNotApproved, FrontRequired and those of the signed edge.
        """
        authorization = headers.get("authorization", "")
        scheme = authorization.partition(" ")[0]
        if scheme == request_auth.SCHEME:
            return Admitted(*await self._signed.authenticate(scope, dict(headers), body, now=now))
        if scheme.lower() == "basic":
            return Admitted(await self._basic(authorization), "")
        if not authorization and self._open_caller and _is_local(scope, headers):
            known = await self._directory.get(self._open_caller)
            known.require_approved()
            return Admitted(known, "")
        raise CredentialsMissing

    async def _basic(self, authorization: str) -> KnownCaller:
        try:
            text = base64.b64decode(authorization.partition(" ")[2].strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError) as error:
            raise CredentialsMissing from error
        caller_id, _, secret = text.partition(":")
        try:
            request_auth.require_id(caller_id)
        except IdInvalid as error:
            raise CallerUnknown(audit="no caller id") from error
        if _SECRET.fullmatch(secret) is None:
            raise CallerUnknown(audit="no secret of the platform's form")
        known = await self._directory.get(caller_id)
        proof = b"basic\n" + caller_id.encode()
        request_auth.check_signature(known.key, proof, request_auth.sign(bytes.fromhex(secret), proof))
        known.require_approved()
        if known.through_front:
            raise FrontRequired
        return known


def _is_local(scope: ASGIScope, headers: Mapping[str, str]) -> bool:
    """Say whether a request comes from this machine itself: not from another one, and through no proxy."""
    client = scope.get("client")
    if not client or any(name in headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
