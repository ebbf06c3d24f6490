"""HTTP load generators: prepared requests, every answer kept.

``drive`` is a closed loop (each connection sends when it has its answer): it finds the maximum rate. ``drive_open`` is
an open model (requests arrive at random moments of a fixed rate, whether or not the server keeps up, and a latency
counts from the intended moment): it finds the latency that people see at that rate.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, cast


class Outcome(NamedTuple):
    """What a run gave: seconds, latencies in seconds, and every raw answer by the index of its request."""

    seconds: float
    latencies: list[float]
    answers: list[bytes]


class _Reader:
    """Puts one answer together from what arrives."""

    def __init__(self) -> None:
        self._buffer = b""
        self._need = 0

    def take(self, data: bytes) -> bytes | None:
        """Return the whole answer when ``data`` completes it."""
        buffer = self._buffer + data if self._buffer else data
        if not self._need:
            head = buffer.find(b"\r\n\r\n")
            if head < 0:
                self._buffer = buffer
                return None
            at = buffer.find(b"content-length: ") + 16
            self._need = head + 4 + int(buffer[at : buffer.find(b"\r", at)])
        if len(buffer) < self._need:
            self._buffer = buffer
            return None
        self._buffer, self._need = b"", 0
        return buffer


class _Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._reader = _Reader()
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
        answer = self._reader.take(data)
        if answer is not None:
            self._run.done(self._index, time.perf_counter() - self._sent_at, answer)
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


class _Pooled(asyncio.Protocol):
    """One keep-alive connection of the open model: idle, or waiting for the answer to one request."""

    def __init__(self, run: _OpenRun) -> None:
        self._run = run
        self._reader = _Reader()
        self._transport: asyncio.Transport | None = None
        self._index = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._run.idle.append(self)

    def send(self, index: int, request: bytes) -> None:
        self._index = index
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self._reader.take(data)
        if answer is not None:
            self._run.done(self, self._index, answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the name is asyncio's
        self._run.lost(self, self._index)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _OpenRun:
    def __init__(self, requests: Sequence[bytes], rate: float, seed: int) -> None:
        draw = random.Random(seed)
        moment = 0.0
        self._requests = requests
        self._due: list[tuple[float, int]] = []
        for index in range(len(requests)):
            moment += draw.expovariate(rate)
            self._due.append((moment, index))
        self.planned_s = moment
        self.idle: deque[_Pooled] = deque()
        self._late: deque[tuple[float, int]] = deque()
        self._started = 0.0
        self._left = len(requests)
        self._intended = [0.0] * len(requests)
        self.latencies = [0.0] * len(requests)
        self.answers = [b""] * len(requests)
        self.finished = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        heapq.heapify(self._due)
        self._started = time.perf_counter()
        self._tick()

    def _tick(self) -> None:
        """Send everything whose moment has come; what finds no idle connection waits, and its latency grows."""
        passed = time.perf_counter() - self._started
        while self._due and self._due[0][0] <= passed:
            self._late.append(heapq.heappop(self._due))
        self._send_waiting()
        if self._due:
            pause = max(self._due[0][0] - (time.perf_counter() - self._started), 0.0)
            asyncio.get_running_loop().call_later(pause, self._tick)

    def _send_waiting(self) -> None:
        while self._late and self.idle:
            moment, index = self._late.popleft()
            self._intended[index] = moment
            self.idle.popleft().send(index, self._requests[index])

    def done(self, connection: _Pooled, index: int, answer: bytes) -> None:
        self.latencies[index] = time.perf_counter() - self._started - self._intended[index]
        self.answers[index] = answer
        self.idle.append(connection)
        self._finish_one()
        self._send_waiting()

    def lost(self, connection: _Pooled, index: int) -> None:
        if connection in self.idle:
            self.idle.remove(connection)
        elif index >= 0:
            self._finish_one()

    def _finish_one(self) -> None:
        self._left -= 1
        if not self._left and not self.finished.done():
            self.finished.set_result(None)


async def drive_open(
    host: str, port: int, requests: Sequence[bytes], *, rate: float, connections: int, seed: int = 1
) -> Outcome:
    """Send every request once at random moments of ``rate`` a second (Poisson); latencies count from those moments."""
    loop = asyncio.get_running_loop()
    run = _OpenRun(requests, rate, seed)
    made = await asyncio.gather(*(loop.create_connection(lambda: _Pooled(run), host, port) for _ in range(connections)))
    started = time.perf_counter()
    run.start()
    await run.finished
    seconds = time.perf_counter() - started
    for _, connection in made:
        connection.close()
    return Outcome(seconds, run.latencies, run.answers)
