"""Requests by hand: signed as the SDK signs, with any one part wrong."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import httpx

from yimatong.access import request_auth


class Wire:
    """One caller's connection, signing whatever it is told to send."""

    def __init__(self, url: str, caller_id: str, secret_hex: str) -> None:
        self.url, self.caller_id, self.secret = url, caller_id, bytes.fromhex(secret_hex)

    def send(
        self,
        method: str,
        target: str,
        body: Any = b"",
        *,
        content_type: str = "application/json",
        key: str | None = None,
        nonce: str | None = None,
        age_s: int = 0,
        caller_id: str | None = None,
        sent: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
        check: bool = True,
    ) -> httpx.Response:
        """Sign and send; ``sent`` replaces parts after signing: method, target, body, key."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        key = secrets.token_hex(8) if key is None else key
        nonce = nonce or secrets.token_hex(16)
        timestamp = int(time.time()) - age_s
        text = request_auth.request_text(
            method=method, target=target, timestamp=timestamp, nonce=nonce, bound=key, body=raw
        )
        authorization = request_auth.header(
            caller_id=caller_id or self.caller_id,
            timestamp=timestamp,
            nonce=nonce,
            signature=request_auth.sign(self.secret, text),
        )
        changed = sent or {}
        all_headers = {"authorization": authorization, "content-type": content_type, "accept-language": "en"}
        if key:
            all_headers["idempotency-key"] = changed.get("key", key)
        content = changed.get("body", raw)
        with httpx.Client(trust_env=False, timeout=30) as http:
            reply = http.request(
                changed.get("method", method),
                self.url + changed.get("target", target),
                content=iter([content[:7], content[7:]]) if chunked else content,
                headers=all_headers | (headers or {}),
            )
        if check:
            self.check(reply, nonce)
        return reply

    def check(self, reply: httpx.Response, nonce: str) -> None:
        """Every answer has a request id; a signed one's signature holds; a refusal is a problem document."""
        assert reply.headers["ymt-request-id"].startswith("req_")
        if "ymt-signature" in reply.headers:
            text = request_auth.answer_text(
                status=reply.status_code,
                timestamp=int(reply.headers["ymt-timestamp"]),
                nonce=nonce,
                body=reply.content,
            )
            assert request_auth.sign(self.secret, text) == reply.headers["ymt-signature"]
        if reply.status_code >= 400:
            found = reply.json()
            assert reply.headers["content-type"] == "application/problem+json"
            assert set(found) == {"type", "title", "status", "code", "detail", "request_id", "retryable"}
            assert found["status"] == reply.status_code
            assert found["type"] == f"urn:yimatong:error:{found['code']}"
            assert found["request_id"] == reply.headers["ymt-request-id"]
            assert reply.headers["cache-control"] == "no-store"


def code_of(reply: httpx.Response) -> str:
    return str(reply.json().get("code", "")) if reply.status_code >= 400 else ""
