"""Two nodes that verify codes: two core processes over HTTP, or two verifiers with a pool each in this process."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import _load
from _codes_texts import Shown

from yimatong.access import request_auth
from yimatong.access.caller import Caller
from yimatong.apps.assembly import Parts
from yimatong.cards.codes.endpoints import VERIFY_PATH
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.schemas import CodeToVerify, VerifiedCode
from yimatong.cards.codes.verification import Verifier
from yimatong.kit import clock
from yimatong.kit.db import Batch, Database
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id

ACCEPTED = "ok"
_CHUNK = 4000


class Nodes(Protocol):
    """Whoever answers; ``number`` says how many of them there are."""

    number: int

    async def redeem(self, shown: Sequence[Shown]) -> list[str]:
        """Return ``ok`` or the public code of the refusal for each text, in order; neighbours run at the same time."""

    async def close(self) -> None:
        """Let go of what is held."""


class HttpNodes:
    """Core processes behind one address; connections spread over them."""

    number = 2

    def __init__(self, address: str, terminals: Mapping[str, bytes], *, connections: int = 64) -> None:
        """Keep where they are, and the secrets of the terminals that ask."""
        self._place = urlsplit(address)
        self._terminals = list(terminals.items())
        self._connections = connections

    async def redeem(self, shown: Sequence[Shown]) -> list[str]:
        """Send one signed request a text."""
        results: list[str] = []
        for start in range(0, len(shown), 5 * _CHUNK):
            part = shown[start : start + 5 * _CHUNK]
            requests = [self._request(each, start + order) for order, each in enumerate(part)]
            outcome = await _load.drive(
                self._place.hostname or "", self._place.port or 0, requests, connections=self._connections
            )
            results += [_result(answer) for answer in outcome.answers]
        return results

    def _request(self, shown: Shown, order: int) -> bytes:
        caller_id, secret = self._terminals[order % len(self._terminals)]
        body = json.dumps({"code": shown.text, "purpose": shown.purpose}, ensure_ascii=False).encode()
        nonce, key, now = secrets.token_hex(16), uuid.uuid4().hex, int(time.time())
        text = request_auth.request_text(
            method="POST", target=VERIFY_PATH, timestamp=now, nonce=nonce, bound=key, body=body
        )
        signature = request_auth.sign(secret, text)
        authorization = request_auth.header(caller_id=caller_id, timestamp=now, nonce=nonce, signature=signature)
        head = (
            f"POST {VERIFY_PATH} HTTP/1.1\r\nhost: {self._place.netloc}\r\nauthorization: {authorization}\r\n"
            f"idempotency-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def close(self) -> None:
        """Nothing is held between two calls."""


class LocalNodes:
    """Two verifiers on one database, each with its own pool, in this process."""

    number = 2

    def __init__(self, parts: Parts, terminals: Sequence[str], *, institution_id: str) -> None:
        """Prepare both; nothing is connected before the first use."""
        self._databases = [Database(parts.settings.database_url) for _ in range(self.number)]
        self._batches: list[Batch[Item, VerifiedCode]] = [
            database.batch(Verifier(parts.vault).work) for database in self._databases
        ]
        self._callers = [
            Caller(caller_id=name, kind="terminal", name=name, institution_id=institution_id) for name in terminals
        ]

    async def redeem(self, shown: Sequence[Shown]) -> list[str]:
        """Submit every text to the one or the other node."""
        results: list[str] = []
        for start in range(0, len(shown), _CHUNK):
            part = shown[start : start + _CHUNK]
            results += await asyncio.gather(*[self._one(each, start + order) for order, each in enumerate(part)])
        return results

    async def _one(self, shown: Shown, order: int) -> str:
        try:
            await self._batches[order % self.number].submit(item(shown, self._callers[order % len(self._callers)]))
        except PlatformError as refusal:
            return refusal.code
        return ACCEPTED

    async def close(self) -> None:
        """Close both pools."""
        for database in self._databases:
            await database.close()


def item(shown: Shown, caller: Caller) -> Item:
    """Return a verification as the edge hands it on."""
    return Item(
        caller=caller,
        nonce=secrets.token_hex(16),
        idempotency_key=uuid.uuid4().hex,
        request_id=new_id("req"),
        wanted=CodeToVerify(code=shown.text, purpose=shown.purpose),
        now=clock.now(),
    )


def _result(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200"):
        return ACCEPTED
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError):
        return head[:12].decode("latin-1")
