"""A closed-loop HTTP load generator: prepared requests over a fixed number of connections, every answer kept.

Requests are signed before the clock starts (a terminal signs its own), answers are checked after it stops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple, cast


class Outcome(NamedTuple):
    """What a run gave: seconds, latencies in seconds, and every raw answer by the index of its request."""

    seconds: float
    latencies: list[float]
    answers: list[bytes]


class _Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._need = 0
        self._sent_at = 0.0
        self._index = -1
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        index = self._run.take()
        if self._transport is None or index < 0:
            if self._transport is not None:
                self._transport.close()
            return
        self._index, self._sent_at = index, time.perf_counter()
        self._transport.write(self._run.requests[index])

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._need:
            head = buffer.find(b"\r\n\r\n")
            if head < 0:
                self._buffer = buffer
                return
            at = buffer.find(b"content-length: ") + 16
            self._need = head + 4 + int(buffer[at : buffer.find(b"\r", at)])
        if len(buffer) < self._need:
            self._buffer = buffer
            return
        self._run.done(self._index, time.perf_counter() - self._sent_at, buffer)
        self._buffer, self._need = b"", 0
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(exc)


class _Run:
    def __init__(self, requests: Sequence[bytes], connections: int) -> None:
        self.requests = requests
        self._next = 0
        self._open = connections
        self.latencies = [0.0] * len(requests)
        self.answers = [b""] * len(requests)
        self.finished = asyncio.get_running_loop().create_future()

    def take(self) -> int:
        if self._next >= len(self.requests):
            return -1
        self._next += 1
        return self._next - 1

    def done(self, index: int, seconds: float, answer: bytes) -> None:
        self.latencies[index] = seconds
        self.answers[index] = answer

    def lost(self, _error: Exception | None) -> None:
        self._open -= 1
        if not self._open and not self.finished.done():
            self.finished.set_result(None)


async def drive(host: str, port: int, requests: Sequence[bytes], *, connections: int) -> Outcome:
    """Send every request once over ``connections`` connections; an answer that never came is an empty one."""
    loop = asyncio.get_running_loop()
    run = _Run(requests, connections)
    started = time.perf_counter()
    await asyncio.gather(*(loop.create_connection(lambda: _Connection(run), host, port) for _ in range(connections)))
    await run.finished
    return Outcome(time.perf_counter() - started, run.latencies, run.answers)
