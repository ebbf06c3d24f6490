"""Payers of the payments benchmark: each pays one order after the other on a connection of her own.

An order is: placed by its hospital's system, tried at WeChat Pay (NATIVE), paid, its notice taken by the core, and the
hospital's system told. ``booked`` counts from the first request to the answer of the notice, which the core gives after
the commit; the run ends when every hospital was told of every order.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from typing import NamedTuple, cast

from _load import _Reader as Reader
from _payments_world import World
from _signed import percentile

from yimatong.access import request_auth
from yimatong.crypto.gm.sm3 import HmacSm3

APP_ID = "wxbench0000000000"
_TOLD_S = 120.0


class Hospital(NamedTuple):
    """A hospital's own system and its merchant number."""

    caller_id: str
    key: HmacSm3
    merchant_id: str


class Wire(asyncio.Protocol):
    """One keep-alive connection: one request at a time, the whole answer back."""

    def __init__(self) -> None:
        """Nothing is sent before ``ask``."""
        self._reader = Reader()
        self._waiting: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Put the answer together."""
        if b" 204 " in data[:16]:  # WeChat Pay's "taken": no body, and no length of it
            answer: bytes | None = data
        else:
            answer = self._reader.take(data)
        if answer is not None and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError())

    async def ask(self, request: bytes) -> bytes:
        """Send and wait for the answer."""
        self._waiting = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


async def connect(host: str, port: int) -> Wire:
    """Open a connection."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
    return wire


def signed(path: str, hospital: Hospital, body: bytes, *, host: str, key: str = "") -> bytes:
    """Return a signed request of a hospital's system."""
    now, nonce, bound = int(time.time()), secrets.token_hex(16), key or uuid.uuid4().hex
    text = request_auth.request_text(method="POST", target=path, timestamp=now, nonce=nonce, bound=bound, body=body)
    authorization = request_auth.header(
        caller_id=hospital.caller_id, timestamp=now, nonce=nonce, signature=request_auth.sign(hospital.key, text)
    )
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\nidempotency-key: {bound}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def new_order(source_no: str, fen: int = 1) -> bytes:
    """Return an order of one line."""
    name = "门诊医疗费"
    items = [{"name": name, "amount_fen": fen}]
    return json.dumps({"source_no": source_no, "description": name, "items": items, "amount_fen": fen}).encode()


_ATTEMPT = json.dumps({"channel": "wechat", "scene": "native"}).encode()


class Run(NamedTuple):
    """What a run gave: orders, seconds until the last hospital was told, latencies until booked, what went wrong."""

    orders: list[str]
    seconds: float
    booked_s: float
    latencies: list[float]
    errors: int

    @property
    def per_s(self) -> float:
        """Return orders a second, told and all."""
        return len(self.orders) / self.seconds

    def p95_ms(self) -> float:
        """Return the 95th percentile from placing to booked."""
        return percentile(sorted(self.latencies), 0.95)


class Payers:
    """Pays ``number`` orders of ``hospitals`` over ``connections``."""

    def __init__(self, world: World, hospitals: list[Hospital], *, host: str, port: int) -> None:
        """Nothing is sent before ``run``."""
        self._world = world
        self._hospitals = hospitals
        self._host, self._port = host, port
        self._at = f"{host}:{port}"
        self._left = 0
        self._orders: list[str] = []
        self._latencies: list[float] = []
        self._errors = 0

    async def run(self, number: int, *, connections: int) -> Run:
        """Pay so many orders and wait until the hospitals were told of all of them."""
        self._left, self._orders, self._latencies, self._errors = number, [], [], 0
        wires = await asyncio.gather(*(connect(self._host, self._port) for _ in range(connections)))
        began = time.perf_counter()
        wires = await asyncio.gather(*(self._pay_on(wire) for wire in wires))
        booked_s = time.perf_counter() - began
        missing = await self._until_told(began + booked_s + _TOLD_S)
        seconds = time.perf_counter() - began
        for wire in wires:
            wire.close()
        return Run(self._orders, seconds, booked_s, self._latencies, self._errors + missing)

    async def _pay_on(self, wire: Wire) -> Wire:
        """Pay order after order; a connection that is cut is an error, and opened again."""
        while self._left > 0:
            self._left -= 1
            hospital = self._hospitals[self._left % len(self._hospitals)]
            began = time.perf_counter()
            try:
                done = await self._pay(wire, hospital)
            except ConnectionError:
                done, wire = False, await connect(self._host, self._port)
            if done:
                self._latencies.append(time.perf_counter() - began)
            else:
                self._errors += 1
        return wire

    async def _pay(self, wire: Wire, hospital: Hospital) -> bool:
        placed = await wire.ask(
            signed("/api/v1/orders", hospital, new_order(secrets.token_hex(12), 6000), host=self._at)
        )
        if not placed.startswith(b"HTTP/1.1 201"):
            return False
        order_no = field(placed, b"order_no")
        tried = await wire.ask(signed(f"/api/v1/orders/{order_no}/attempts", hospital, _ATTEMPT, host=self._at))
        if not tried.startswith(b"HTTP/1.1 201"):
            return False
        attempt_no = field(tried, b"attempt_no")
        notice = self._world.notice(attempt_no, host=self._at)
        taken = await wire.ask(notice)
        self._orders.append(order_no)
        return taken.startswith(b"HTTP/1.1 204")

    async def _until_told(self, until: float) -> int:
        """Wait for the hospitals; return how many orders none was told of."""
        told, waiting = self._world.told, set(self._orders)
        while waiting and time.perf_counter() < until:
            waiting = {each for each in waiting if each not in told}
            await asyncio.sleep(0.005)
        return len(waiting)


def field(answer: bytes, name: bytes) -> str:
    """Return a text field of a JSON answer."""
    at = answer.index(b'"' + name + b'":"') + len(name) + 4
    return answer[at : answer.index(b'"', at)].decode()
