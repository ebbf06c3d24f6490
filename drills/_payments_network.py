"""The wire between the platform and outside parties, in one process: what ``kit.http.Outbound`` is to the adapters.

A request and its answer take a moment each. On the way they are lost, late, doubled, answered by a proxy, by garbage,
without a signature or with one that does not fit. The parties themselves act on what reaches them and on nothing else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from _payments_chance import Chance
from _payments_database import SeedDatabase
from _payments_loop import VirtualLoop
from _payments_nodes import Nodes

from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Answer

READ_S: Final = 10.0
LATE_S: Final = 15.0
"""A request that was given up on reaches its party at most so long after it was sent."""
_SIGN: Final = re.compile(rb',"sign":"[^"]*"|&signature=[^&]*')
"""Where a signature stands that is in the body."""
_GARBAGE: Final = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Request(NamedTuple):
    """What reaches a party; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Party = Callable[[Request], Answer]
"""Acts on a request at the present moment and answers."""


class Network:
    """Sends to parties by the host of their addresses."""

    def __init__(self, loop: VirtualLoop, chance: Chance, nodes: Nodes, db: SeedDatabase) -> None:
        self._loop = loop
        self._chance = chance
        self._nodes = nodes
        self._db = db
        self.parties: dict[str, Party] = {}
        self.calls = 0

    async def send(
        self, party: str, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request; raises as ``kit.http.Outbound.send``."""
        if self._db.open:
            message = f"{party} was called inside a transaction"
            raise AssertionError(message)
        self._nodes.check(fault=10)
        self.calls += 1
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        request = Request(method, target, lower, body)
        host = parts.hostname or ""
        if self._chance.strikes(13):
            await self._fail(party, host, request)
        await asyncio.sleep(self._chance.random.uniform(0.01, 0.3))
        answer = self._spoilt(host, request) if self._chance.strikes(14) else self._reach(host, request)
        await asyncio.sleep(self._chance.random.uniform(0.01, 0.3))
        self._nodes.check(fault=11)
        return answer

    def _reach(self, host: str, request: Request) -> Answer:
        answer = self.parties[host](request)
        if self._chance.random.random() < 0.02:  # sent twice by something between us
            answer = self.parties[host](request)
        return answer

    async def _fail(self, party: str, host: str, request: Request) -> None:
        how = self._chance.random.choice(("unreachable", "lost", "answer lost", "answer lost", "late"))
        if how == "unreachable":
            await asyncio.sleep(self._chance.random.uniform(0, 3))
            raise PartyUnreachable(party=party, audit="drill")
        if how == "answer lost":
            self._loop.call_later(self._chance.random.uniform(0.01, 9), self.parties[host], request)
        elif how == "late":
            self._loop.call_later(self._chance.random.uniform(READ_S, LATE_S), self.parties[host], request)
        await asyncio.sleep(READ_S)
        self._nodes.check()
        raise PartyOutcomeUnknown(party=party, audit=f"drill: {how}")

    def _spoilt(self, host: str, request: Request) -> Answer:
        how = self._chance.random.choice(("5xx", "5xx acted", "garbage", "unsigned", "wrong signature"))
        if how == "5xx":
            return Answer(502, {}, _GARBAGE)
        answer = self._reach(host, request)
        if how == "5xx acted":
            return Answer(504, {}, _GARBAGE)
        if how == "garbage":
            return Answer(answer.status, answer.headers, b"\x00\xff" + answer.body[: len(answer.body) // 2])
        if how == "unsigned":
            kept = {name: value for name, value in answer.headers.items() if "sign" not in name}
            return Answer(answer.status, kept, _SIGN.sub(b"", answer.body))
        return Answer(answer.status, answer.headers, _SIGN.sub(b',"sign":"AAAA"', answer.body) + b" ")
