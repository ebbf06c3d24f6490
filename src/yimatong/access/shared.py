"""Writes that share a transaction: the coalesced form of ``Call.write``, with the same promises.

Concurrent requests take their idempotency keys, run one verb for all of them and keep their answers in a few statements
and one commit (``kit.db.Batch``). Each has its own outcome: a refusal gives its key back and leaves no row. A repeat
gets its first answer; where the route reads personal data, with an audit row of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from yimatong.access.caller import Caller
from yimatong.access.errors import IdempotencyKeyReused
from yimatong.crypto.sealing import Sealer
from yimatong.kit import audit
from yimatong.kit.arrays import moments, octets, plain, texts
from yimatong.kit.db import Answers, RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.kit.together import Piece

Payload = TypeVar("Payload")

_TAKE = """
    INSERT INTO access_idempotency (caller_id, key, request_digest, status, answer, at)
    SELECT c, k, d, 0, '', a FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::timestamptz[]) AS i (c, k, d, a)
    ORDER BY c, k ON CONFLICT DO NOTHING RETURNING caller_id, key
"""
_FIND = """
    SELECT i.ord, s.request_digest, s.status, s.answer
    FROM unnest(%s::int[], %s::text[], %s::text[]) AS i (ord, c, k)
    JOIN access_idempotency s ON s.caller_id = i.c AND s.key = i.k
"""
_KEEP = """
    UPDATE access_idempotency s SET status = i.status, answer = i.answer
    FROM unnest(%s::text[], %s::text[], %s::int[], %s::bytea[]) AS i (c, k, status, answer)
    WHERE s.caller_id = i.c AND s.key = i.k
"""
_GIVE_BACK = """
    DELETE FROM access_idempotency s USING unnest(%s::text[], %s::text[]) AS i (c, k)
    WHERE s.caller_id = i.c AND s.key = i.k
"""


class SharedWrite(msgspec.Struct, Generic[Payload], kw_only=True, eq=False):
    """One request's write on its way through a batch."""

    caller: Caller
    key: str
    digest: bytes
    request_id: str
    action: str
    path: str
    personal: bool
    now: datetime
    payload: Payload
    status: int = 201
    outcome: tuple[int, bytes] | Exception | None = None
    repeats: bool = False

    @property
    def place(self) -> tuple[str, str]:
        """Return the key of the answer's row."""
        return self.caller.caller_id, self.key

    @property
    def aad(self) -> bytes:
        """Return what ties the sealed answer to its place; the same as ``idempotency.Slot``."""
        return f"idempotency:{self.caller.caller_id}:{self.key}".encode()


Verb = Callable[[RawConnection, Sequence[Any]], Awaitable[Sequence[msgspec.Struct | PlatformError]]]
"""Does the payloads of a batch in its open transaction; one answer or refusal for each, in order."""

Seal = Callable[[], Awaitable[Sealer]]


def sharing(
    verb: Verb, answers_sealer: Seal
) -> Callable[[RawConnection, Sequence[SharedWrite[Any]]], Awaitable[Answers[tuple[int, bytes]]]]:
    """Return the work of a batch that runs ``verb`` once for every key."""

    async def work(connection: RawConnection, items: Sequence[SharedWrite[Any]]) -> Answers[tuple[int, bytes]]:
        sealer = await answers_sealer()
        first: dict[tuple[str, str], SharedWrite[Any]] = {}
        for item in items:
            first.setdefault(item.place, item)
        leaders = list(first.values())
        taken = await _take(connection, leaders)
        repeated = [item for item in leaders if item.place not in taken]
        await _find(connection, repeated, sealer)
        fresh = [item for item in leaders if item.place in taken]
        for item, done in zip(fresh, await verb(connection, [item.payload for item in fresh]), strict=True):
            item.outcome = done if isinstance(done, PlatformError) else (item.status, _encoder.encode(done))
        for item in items:
            leader = first[item.place]
            if item is not leader:
                item.outcome = leader.outcome if item.digest == leader.digest else IdempotencyKeyReused()
                item.repeats = True
        await _finish(connection, items, fresh, sealer)

        async def answers() -> Sequence[tuple[int, bytes] | Exception]:
            return [item.outcome or RuntimeError("a write without an outcome") for item in items]

        return answers

    return work


_encoder = msgspec.json.Encoder()


class SharedRead(msgspec.Struct, Generic[Payload], kw_only=True, eq=False):
    """One request's read on its way through a batch; where it is answered, an audit row stands beside it."""

    caller: Caller
    request_id: str
    action: str
    path: str
    now: datetime
    payload: Payload


def reading(
    query: Callable[[RawConnection, Sequence[SharedRead[Any]]], Awaitable[Sequence[msgspec.Struct | PlatformError]]],
) -> Callable[[RawConnection, Sequence[SharedRead[Any]]], Awaitable[Answers[bytes]]]:
    """Return the work of a batch that answers personal reads; each is in the audit before it is answered."""

    async def work(connection: RawConnection, items: Sequence[SharedRead[Any]]) -> Answers[bytes]:
        found = await query(connection, items)
        outcomes = [each if isinstance(each, PlatformError) else _encoder.encode(each) for each in found]
        await _note(connection, [item for item, each in zip(items, found, strict=True) if _done(each)])

        async def answers() -> Sequence[bytes | Exception]:
            return outcomes

        return answers

    return work


def _done(outcome: msgspec.Struct | PlatformError) -> bool:
    return not isinstance(outcome, PlatformError)


async def _note(connection: RawConnection, noted: Sequence[SharedRead[Any] | SharedWrite[Any]]) -> None:
    """Write the audit rows."""
    if not noted:
        return
    rows = [
        route_noted(item.caller, action=item.action, path=item.path, request_id=item.request_id, now=item.now)
        for item in noted
    ]
    await audit.record_many(connection, rows)


def route_noted(caller: Caller, *, action: str, path: str, request_id: str, now: datetime) -> Piece:
    """Return the audit row of a request: who called which route."""
    return audit.recording(
        actor=caller.caller_id,
        institution_id=caller.institution_id,
        action=action,
        object_kind="route",
        object_id=path,
        request_id=request_id,
        now=now,
    )


async def _take(connection: RawConnection, items: Sequence[SharedWrite[Any]]) -> set[tuple[str, str]]:
    """Insert the keys; who held one before is waited for."""
    columns = (
        texts(item.caller.caller_id for item in items),
        texts(item.key for item in items),
        octets(item.digest for item in items),
        moments(item.now for item in items),
    )
    rows: Sequence[Any] = await (await connection.execute(_TAKE, columns)).fetchall()
    return {(row[0], row[1]) for row in rows}


async def _find(connection: RawConnection, repeated: Sequence[SharedWrite[Any]], sealer: Sealer) -> None:
    """Give each repeat its first answer."""
    if not repeated:
        return
    callers, keys = zip(*(item.place for item in repeated), strict=True)
    cursor = await connection.execute(_FIND, (plain(range(len(repeated))), texts(callers), texts(keys)))
    rows: Sequence[Any] = await cursor.fetchall()
    for index, digest, status, answer in rows:
        item = repeated[index]
        item.repeats = True
        try:
            item.outcome = (
                (status, sealer.unseal(bytes(answer), item.aad))
                if bytes(digest) == item.digest
                else IdempotencyKeyReused()
            )
        except PlatformError as broken:
            item.outcome = broken


async def _finish(
    connection: RawConnection, items: Sequence[SharedWrite[Any]], fresh: Sequence[SharedWrite[Any]], sealer: Sealer
) -> None:
    """Keep the answers of what was done, give back the keys of what was refused, and write the audit rows."""
    kept = [(item, item.outcome) for item in fresh if isinstance(item.outcome, tuple)]
    if kept:
        columns = (
            texts(item.caller.caller_id for item, _ in kept),
            texts(item.key for item, _ in kept),
            plain(outcome[0] for _, outcome in kept),
            octets(sealer.seal(outcome[1], item.aad) for item, outcome in kept),
        )
        await connection.execute(_KEEP, columns)
    refused = [item.place for item in fresh if not isinstance(item.outcome, tuple)]
    if refused:
        callers, keys = zip(*refused, strict=True)
        await connection.execute(_GIVE_BACK, (texts(callers), texts(keys)))
    await _note(
        connection,
        [item for item in items if isinstance(item.outcome, tuple) and (item.personal or not item.repeats)],
    )
