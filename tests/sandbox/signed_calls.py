"""Calls of the simulated parties as their published interface asks for them, written without the platform's client."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import httpx

from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.sandbox.signed import APP_ID, SECRET_HEX


def ask(url: str, body: Any, *, app_id: str = APP_ID, secret: str = SECRET_HEX, **wrong: str) -> httpx.Response:
    """POST a signed question; ``wrong`` replaces headers after signing. A signed answer is checked."""
    content = json.dumps(body).encode()
    timestamp, nonce = wrong.pop("timestamp", str(int(time.time()))), wrong.pop("nonce", secrets.token_hex(16))
    text = f"POST\n{httpx.URL(url).path}\n{timestamp}\n{nonce}\n".encode() + content
    code = hmac_sm3(bytes.fromhex(secret), text).hex()
    headers = {"X-App-Id": app_id, "X-Timestamp": timestamp, "X-Nonce": nonce, "X-Sign": code} | wrong
    reply = httpx.post(url, content=content, headers=headers, trust_env=False)
    if reply.status_code == 200:
        signed = f"200\n{nonce}\n".encode() + reply.content
        assert reply.headers["X-Sign"] == hmac_sm3(bytes.fromhex(secret), signed).hex()
    return reply
