"""The plain ASGI that the edge and the fronts share: reading a body, holding an answer back, refusing at the door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import datetime
from typing import Any

import msgspec

from yimatong.access import request_auth
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit.errors import BodyTooLarge, PlatformError
from yimatong.kit.web import PROBLEM_JSON, language_of, problem

ASGIScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[ASGIScope, Receive, Send], Awaitable[None]]


BODY_BYTES_MAX = 64 * 1024


class Answer:
    """An answer that is held back until it is signed."""

    def __init__(self, status: int = 500, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b"") -> None:
        """Start with the given parts."""
        self.status = status
        self.headers = headers or []
        self.body = body

    async def collect(self, message: Message) -> None:
        """Take the place of ``send`` for the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def send(self, send: Send, *, signer: tuple[HmacSm3, str] | None, now: datetime, request_id: str) -> None:
        """Send it, signed when the request was authentic."""
        headers = [*self.headers, (b"ymt-request-id", request_id.encode())]
        if signer is not None:
            secret, nonce = signer
            timestamp = int(now.timestamp())
            text = request_auth.answer_text(status=self.status, timestamp=timestamp, nonce=nonce, body=self.body)
            headers += [
                (b"ymt-timestamp", b"%d" % timestamp),
                (b"ymt-signature", request_auth.sign(secret, text).encode()),
            ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def problem_answer(error: PlatformError, *, request_id: str, headers: Mapping[str, str]) -> Answer:
    """Return the problem document of an error that ended a request before the application."""
    language = language_of(headers.get("accept-language", ""))
    document = problem(error, request_id=request_id, language=language)
    body = msgspec.json.encode(document)
    retry = [] if error.retry_after_s is None else [(b"retry-after", b"%d" % error.retry_after_s)]
    return Answer(
        error.status,
        [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"content-language", b"en" if language == "en" else b"zh-CN"),
            (b"cache-control", b"no-store"),
            *retry,
        ],
        body,
    )


async def read_body(receive: Receive, *, limit_bytes: int) -> bytes:
    """Read a request's whole body.

    Raises:
        BodyTooLarge: more than ``limit_bytes``.
    """
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        part = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise BodyTooLarge(limit_bytes=limit_bytes)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives a body that was read already, then what the server still sends."""
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def target(scope: ASGIScope) -> str:
    """Return path and query exactly as they came over the wire."""
    raw = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    return bytes(raw + (b"?" + query if query else b"")).decode("latin-1")
