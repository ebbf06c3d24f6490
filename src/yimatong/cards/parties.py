"""Asking outside parties that certify a resident or a card: police register, bank, insurer.

One signed JSON call: ``X-App-Id``, ``X-Timestamp`` (Unix seconds), ``X-Nonce`` and ``X-Sign``, the hexadecimal HMAC-SM3
(GB/T 15852.2) over method, path, timestamp, nonce and body, each on its line; the answer is signed over status, nonce
and body. It is the plainest shape that such services publish; a province's own interface is adapted here and in the
adapters, nowhere else. Never called inside a transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from yimatong.cards.errors import PartyBusy, PartyNotConnected, PartyRefusesUs
from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer, Outbound

_OK: Final = 200
_REFUSED: Final = (400, 401, 403, 404)
_BUSY: Final = 429
_WAIT_S: Final = 60

Reply = TypeVar("Reply", bound=msgspec.Struct)


class Party:
    """One outside party with its address and our keys there."""

    def __init__(self, outbound: Outbound, *, name: str, base_url: str, app_id: str, secret: str) -> None:
        """Keep the address and the keys; ``secret`` is hexadecimal, empty where there is no contract.

        Raises:
            ValueError: the secret is not hexadecimal.
        """
        self.name = name
        self._outbound = outbound
        self._url = base_url.rstrip("/")
        self._app_id = app_id
        self._mac = HmacSm3(bytes.fromhex(secret)) if secret else None

    async def ask(self, path: str, question: Mapping[str, object], reply: type[Reply], *, now: datetime) -> Reply:
        """Send one question and return the answer.

        Raises:
            PartyNotConnected, PartyBusy, PartyRefusesUs, PartyUnreachable: nothing was done there.
            PartyOutcomeUnknown: it may have acted; its answer is missing or not genuine.
        """
        if self._mac is None:
            raise PartyNotConnected(party=self.name)
        body = msgspec.json.encode(question)
        timestamp, nonce = str(int(now.timestamp())), secrets.token_hex(16)
        url = self._url + path
        signed = f"POST\n{urlsplit(url).path}\n{timestamp}\n{nonce}\n".encode() + body
        headers = {
            "content-type": "application/json",
            "x-app-id": self._app_id,
            "x-timestamp": timestamp,
            "x-nonce": nonce,
            "x-sign": self._mac.digest(signed).hex(),
        }
        answer = await self._outbound.send(self.name, "POST", url, body=body, headers=headers)
        if answer.status == _BUSY:
            raise PartyBusy(party=self.name, retry_after_s=_wait_s(answer))
        if answer.status in _REFUSED:
            raise PartyRefusesUs(party=self.name, audit=f"status {answer.status}")
        if answer.status != _OK:
            raise PartyOutcomeUnknown(party=self.name, audit=f"status {answer.status}")
        return self._read(answer, nonce, reply)

    def _read(self, answer: Answer, nonce: str, reply: type[Reply]) -> Reply:
        if self._mac is None:
            raise PartyNotConnected(party=self.name)
        try:
            given = bytes.fromhex(answer.headers.get("x-sign", ""))
            self._mac.verify(f"{answer.status}\n{nonce}\n".encode() + answer.body, given)
            return msgspec.json.decode(answer.body, type=reply)
        except (ValueError, SignatureInvalid, msgspec.DecodeError) as error:
            raise PartyOutcomeUnknown(party=self.name, audit=type(error).__name__) from None


def _wait_s(answer: Answer) -> int:
    text = answer.headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and text != "0" else _WAIT_S
