"""Exactly once: operations sent one to twenty times at once to every core process, and what came of them.

Half of them place an order, half ask for a refund of a paid one. Each has its idempotency key; each is sent so often
that it averages ten, all at the same moment, over many connections, which the kernel spreads over the processes. Of
every tenth operation one more request comes with the same key and another body: it must be refused. Afterwards the
rows, the ledger and the channel's own count are looked at: as many effects as operations, not one more.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
import uuid
from collections import deque
from typing import NamedTuple
from urllib.parse import SplitResult

import psycopg
from _payments_payers import Hospital, Wire, connect, new_order, signed
from _payments_world import World
from _sides import Figures, say

MOST = 20
_CONNECTIONS = 48
_WINDOW = 200
_ARRIVED_S = 180.0


class Operation(NamedTuple):
    """One thing to do once."""

    path: str
    hospital: Hospital
    key: str
    body: bytes
    other: bytes
    """Another body, which the same key must not be taken with."""
    times: int


class Counts:
    """What the answers said."""

    def __init__(self) -> None:
        """Nothing was answered yet."""
        self.requests = 0
        self.errors = 0
        self.refused = 0
        self.disagreeing = 0


async def run(
    world: World,
    hospitals: list[Hospital],
    *,
    place: SplitResult,
    paid: list[str],
    number: int,
    url: str,
) -> Figures:
    """Send everything, wait until every refund has arrived, count. ``paid``: orders by turns of the hospitals."""
    mark = f"E{secrets.token_hex(4)}"
    owners = await asyncio.to_thread(_owners, url, paid[: number // 2])
    by_caller = {hospital.caller_id: hospital for hospital in hospitals}
    operations = _operations(mark, hospitals, by_caller, owners, number)
    say.print(f"恰好一次 / exactly once: {len(operations):,} operations, sent 1 to {MOST} times")
    wires = await asyncio.gather(*(connect(place.hostname or "", place.port or 0) for _ in range(_CONNECTIONS)))
    counts, began = Counts(), time.perf_counter()
    for first in range(0, len(operations), _WINDOW):
        await _send(wires, operations[first : first + _WINDOW], counts, host=place.netloc)
    seconds = time.perf_counter() - began
    for wire in wires:
        wire.close()
    say.print(f"  {counts.requests:,} requests in {seconds:.0f} s, {counts.refused:,} with another body refused")
    orders = sum(operation.path == "/api/v1/orders" for operation in operations)
    found = await asyncio.to_thread(_count, url, mark, len(operations) - orders)
    found["channel"] = sum(number in world.refunds for number in await asyncio.to_thread(_refund_numbers, url, mark))
    return _judged(found, counts, orders=orders, refunds=len(operations) - orders)


def _operations(
    mark: str,
    hospitals: list[Hospital],
    by_caller: dict[str, Hospital],
    owners: dict[str, str],
    number: int,
) -> list[Operation]:
    rng = random.Random(mark)
    made = []
    for order_no, caller_id in owners.items():
        wanted = {"order_no": order_no, "request_no": f"{mark}-{order_no}", "amount_fen": 100, "reason": "退费"}
        body, other = json.dumps(wanted).encode(), json.dumps(wanted | {"amount_fen": 101}).encode()
        made.append(
            Operation("/api/v1/refunds", by_caller[caller_id], uuid.uuid4().hex, body, other, rng.randint(1, MOST))
        )
    for index in range(number - len(made)):
        hospital, source_no = hospitals[index % len(hospitals)], f"{mark}-{index}"
        bodies = new_order(source_no, 6000), new_order(source_no, 6001)
        made.append(Operation("/api/v1/orders", hospital, uuid.uuid4().hex, *bodies, rng.randint(1, MOST)))
    rng.shuffle(made)
    return made


async def _send(wires: list[Wire], operations: list[Operation], counts: Counts, *, host: str) -> None:
    """Send a window of operations, the repeats of each beside each other, so that they meet; then the other bodies."""
    bodies: dict[int, bytes] = {}
    repeats = [(index, False) for index, operation in enumerate(operations) for _ in range(operation.times)]
    others = [(index, True) for index in range(0, len(operations), 10)]

    async def work(wire: Wire, waiting: deque[tuple[int, bool]]) -> None:
        while waiting:
            index, other = waiting.popleft()
            operation = operations[index]
            request = signed(
                operation.path,
                operation.hospital,
                operation.other if other else operation.body,
                host=host,
                key=operation.key,
            )
            answer = await wire.ask(request)
            counts.requests += 1
            _note(counts, bodies, index, answer, other=other)

    for each in (deque(repeats), deque(others)):
        await asyncio.gather(*(work(wire, each) for wire in wires))


def _note(counts: Counts, bodies: dict[int, bytes], index: int, answer: bytes, *, other: bool) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    if other:
        counts.refused += head.startswith(b"HTTP/1.1 4")
        counts.errors += not head.startswith(b"HTTP/1.1 4")
    elif not head.startswith(b"HTTP/1.1 201"):
        counts.errors += 1
    elif bodies.setdefault(index, body) != body:
        counts.disagreeing += 1


def _owners(url: str, orders: list[str]) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT order_no, caller_id FROM payments_order WHERE order_no = ANY(%s) ORDER BY order_no", [orders]
        )
        return {row[0]: row[1] for row in rows.fetchall()}


_COUNTS = {
    "orders": "SELECT count(*) FROM payments_order WHERE source_id LIKE %(like)s",
    "order_keys": "SELECT count(DISTINCT source_id) FROM payments_order WHERE source_id LIKE %(like)s",
    "refunds": "SELECT count(*) FROM payments_refund WHERE request_no LIKE %(like)s",
    "arrived": "SELECT count(*) FROM payments_refund WHERE request_no LIKE %(like)s AND state = 'succeeded'",
    "ledger": "SELECT count(*) FROM payments_ledger_transaction l JOIN payments_refund r ON r.order_no = l.order_no "
    "AND l.movement = 'refund_asked:' || r.refund_no WHERE r.request_no LIKE %(like)s",
    "reserved": "SELECT coalesce(sum(o.refund_reserved_fen), 0) FROM payments_order o WHERE o.order_no IN "
    "(SELECT order_no FROM payments_refund WHERE request_no LIKE %(like)s)",
}


def _count(url: str, mark: str, refunds: int) -> dict[str, int]:
    """Wait until the refunds have arrived, and count what there is."""
    until = time.monotonic() + _ARRIVED_S
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            found = {}
            for name, query in _COUNTS.items():
                row = connection.execute(query, {"like": f"{mark}-%"}).fetchone()
                found[name] = int(row[0]) if row else -1
            if found["arrived"] >= refunds or time.monotonic() > until:
                return found
            connection.execute("SELECT pg_sleep(1)")


def _refund_numbers(url: str, mark: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT refund_no FROM payments_refund WHERE request_no LIKE %s", [f"{mark}-%"])
        return [row[0] for row in rows.fetchall()]


def _judged(found: dict[str, int], counts: Counts, *, orders: int, refunds: int) -> Figures:
    say.print(f"  {found}")
    doubled = max(found["orders"] - orders, 0) + max(found["refunds"] - refunds, 0)
    missing = [
        abs(found["orders"] - orders),
        abs(found["order_keys"] - orders),
        *(abs(found[name] - refunds) for name in ("refunds", "arrived", "ledger", "channel")),
        abs(found["reserved"] - 100 * refunds),
    ]
    return {
        "effects": found["orders"] + found["refunds"],
        "repeats": counts.requests - orders - refunds,
        "doubled": doubled,
        "effect_errors": counts.errors + counts.disagreeing + sum(missing),
    }
