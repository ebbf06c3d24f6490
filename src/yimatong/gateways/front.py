"""A front (前置机): checks what it can see, and forwards the caller's signed bytes unchanged in its own channel.

It refuses at the door what is malformed, too large, out of the time window, not served here or just repeated; whatever
passes goes on byte for byte with the front's own signature around it (``YMT-Front``), and the centre checks both. The
front knows no caller's key and no resident's data, and keeps nothing.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

from yimatong.access import request_auth
from yimatong.access.asgi import BODY_BYTES_MAX, Answer, ASGIScope, Receive, Send, problem_answer, read_body, target
from yimatong.gateways.errors import CentreOutcomeUnknown, CentreUnreachable, PathNotServed, RequestRepeated
from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound
from yimatong.kit.ids import new_id
from yimatong.kit.settings import SettingsInvalid
from yimatong.kit.web import log_failure, translate

_FORWARDED = ("authorization", "idempotency-key", "content-type", "accept-language")
_RETURNED = ("content-type", "content-language", "cache-control", "ymt-timestamp", "ymt-signature", "ymt-request-id")
_SEEN_MAX = 100_000

INSTITUTION_PATHS = (
    "/api/v1/accounts",
    "/api/v1/admissions",
    "/api/v1/agreements",
    "/api/v1/bills",
    "/api/v1/channels",
    "/api/v1/codes",
    "/api/v1/cross-indexes",
    "/api/v1/family",
    "/api/v1/identifier-domains",
    "/api/v1/identify",
    "/api/v1/kiosk-links",
    "/api/v1/labels",
    "/api/v1/orders",
    "/api/v1/payables",
    "/api/v1/person-subscriptions",
    "/api/v1/persons",
    "/api/v1/physical-cards",
    "/api/v1/prescription-codes",
    "/api/v1/refunds",
    "/api/v1/service-channels",
    "/api/v1/symbologies",
    "/api/v1/visit-cards",
    "/api/v1/visits",
)
INTERNET_PATHS = (
    "/api/v1/accounts",
    "/api/v1/agreements",
    "/api/v1/channels",
    "/api/v1/codes",
    "/api/v1/cross-indexes",
    "/api/v1/family",
    "/api/v1/identifier-domains",
    "/api/v1/labels",
    "/api/v1/orders",
    "/api/v1/payables",
    "/api/v1/person-subscriptions",
    "/api/v1/persons",
    "/api/v1/physical-cards",
    "/api/v1/prescription-codes",
    "/api/v1/service-channels",
    "/api/v1/symbologies",
)
"""Where the native API is open to institutions and terminals, and to apps; a test holds both against the routes."""


class Front:
    """A front as an ASGI application. ``paths`` are the prefixes that it serves."""

    def __init__(
        self, *, centre: str, front_id: str, secret: bytes, paths: tuple[str, ...], outbound: Outbound
    ) -> None:
        """Keep the front's own key and the way to the centre.

        Raises:
            SettingsInvalid: the front has no id or no key.
        """
        if not front_id or not secret:
            raise SettingsInvalid(detail="front_id, front_secret")
        self._centre = centre
        self._front_id = front_id
        self._secret = secret
        self._paths = paths
        self._outbound = outbound
        self._seen: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        now = clock.now()
        try:
            if scope["path"].startswith("/health/"):
                answer = await self._health(scope["path"])
            else:
                answer = await self._forward(scope, headers, await read_body(receive, limit_bytes=BODY_BYTES_MAX), now)
        except Exception as error:  # noqa: BLE001 -- the last resort: every failure gets its problem document
            refusal, request_id = translate(error), new_id("req")
            log_failure(error, refusal, request_id=request_id, path=scope["path"])
            answer = problem_answer(refusal, request_id=request_id, headers=headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _forward(self, scope: ASGIScope, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
        if not any(scope["path"] == path or scope["path"].startswith(path + "/") for path in self._paths):
            raise PathNotServed
        given = request_auth.parse(headers.get("authorization", ""))
        request_auth.check_window(given.timestamp, now=now)
        self._check_repeat(given, now=now)
        sent = {name: headers[name] for name in _FORWARDED if name in headers}
        sent["ymt-front"] = self._signature(scope, sent["authorization"], body, now=now)
        try:
            reply = await self._outbound.send(
                "centre", scope["method"], self._centre + target(scope), body=body, headers=sent
            )
        except PartyUnreachable as error:
            self._seen.pop((given.caller_id, given.nonce), None)
            raise CentreUnreachable from error
        except PartyOutcomeUnknown as error:
            raise CentreOutcomeUnknown from error
        returned = [(name.encode(), reply.headers[name].encode()) for name in _RETURNED if name in reply.headers]
        return Answer(reply.status, [*returned, (b"content-length", b"%d" % len(reply.body))], reply.body)

    def _signature(self, scope: ASGIScope, authorization: str, body: bytes, *, now: datetime) -> str:
        timestamp, nonce = int(now.timestamp()), secrets.token_hex(16)
        text = request_auth.request_text(
            method=scope["method"],
            target=target(scope),
            timestamp=timestamp,
            nonce=nonce,
            bound=authorization,
            body=body,
        )
        return request_auth.header(
            caller_id=self._front_id, timestamp=timestamp, nonce=nonce, signature=request_auth.sign(self._secret, text)
        )

    def _check_repeat(self, given: request_auth.Credentials, *, now: datetime) -> None:
        """Turn away a request that passed a moment ago. A convenience for the centre, which has the last word."""
        key = (given.caller_id, given.nonce)
        if key in self._seen:
            raise RequestRepeated
        self._seen[key] = now
        while len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)

    async def _health(self, path: str) -> Answer:
        """Answer for this process; ready only when the centre is."""
        if path == "/health/ready":
            try:
                reply = await self._outbound.send("centre", "GET", self._centre + "/health/ready")
            except (PartyUnreachable, PartyOutcomeUnknown) as error:
                raise CentreUnreachable from error
            return Answer(reply.status, [(b"content-type", b"text/plain")], reply.body)
        return Answer(200, [(b"content-type", b"text/plain")], b"ok")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        for stage in ("startup", "shutdown"):
            await receive()
            if stage == "shutdown":
                await self._outbound.close()
            await send({"type": f"lifespan.{stage}.complete"})
