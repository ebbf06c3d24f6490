"""Calls of the national index: SOAP over HTTP, signed like every outside party's (HMAC-SM3, GB/T 15852.2).

``X-Sign`` is the code over method, path, timestamp, nonce and body, each on its line; the answer is signed over status,
nonce and body. A national contract that asks for another proof is adapted here and nowhere else.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.empi.errors import NationalAnswerUnreadable, NationalNotTaking, NationalRefusesUs
from yimatong.empi.national import messages, reading
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Outbound

PARTY: Final = "国家居民主索引 (national person index)"
PATH: Final = "/HIPMessageServer"
_OK: Final = 200
_CLOSED: Final = (429, 503)
_REFUSED: Final = (400, 401, 403, 404, 405, 413, 415)


class NationalClient:
    """The national index behind its address."""

    def __init__(
        self, outbound: Outbound, *, base_url: str, sender_id: str, secret: str, clock: Callable[[], datetime]
    ) -> None:
        """Keep the address and the key (hexadecimal); ``clock`` tells when a message leaves: then it is signed.

        Raises:
            ValueError: the secret is not hexadecimal.
        """
        self._outbound = outbound
        self._url = base_url.rstrip("/") + PATH
        self._sender_id = sender_id
        self._clock = clock
        self._mac = HmacSm3(bytes.fromhex(secret))

    async def call(self, action: str, message: str) -> str:
        """Send a message and return the answer's text; errors as ``schemas.National``."""
        body = messages.enveloped(action, message)
        timestamp, nonce = str(int(self._clock().timestamp())), secrets.token_hex(16)
        signed = f"POST\n{urlsplit(self._url).path}\n{timestamp}\n{nonce}\n".encode() + body
        headers = {
            "content-type": "text/xml; charset=utf-8",
            "soapaction": '"urn:hl7-org:v3:HIPMessageServer"',
            "x-app-id": self._sender_id,
            "x-timestamp": timestamp,
            "x-nonce": nonce,
            "x-sign": self._mac.digest(signed).hex(),
        }
        answer = await self._outbound.send(PARTY, "POST", self._url, body=body, headers=headers)
        if answer.status in _CLOSED:
            raise NationalNotTaking(audit=f"status {answer.status}")
        if answer.status in _REFUSED:
            raise NationalRefusesUs(status=answer.status)
        if answer.status != _OK:
            raise PartyOutcomeUnknown(party=PARTY, audit=f"status {answer.status}")
        try:
            given = bytes.fromhex(answer.headers.get("x-sign", ""))
            self._mac.verify(f"{answer.status}\n{nonce}\n".encode() + answer.body, given)
            return reading.payload(answer.body)
        except (ValueError, SignatureInvalid, NationalAnswerUnreadable) as error:
            raise PartyOutcomeUnknown(party=PARTY, audit=type(error).__name__) from None
