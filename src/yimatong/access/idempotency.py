"""Idempotency keys of writes: the first answer is kept with the write itself and given again.

The row is inserted first, in the transaction of the write: a second request with the same key waits on the unique
index until the first one commits, then reads its answer. A refusal rolls back with its row, so a corrected retry is
free to use the key again. Answers are sealed, because they carry personal data.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, text, tuple_

from yimatong.access.errors import IdempotencyKeyMissing, IdempotencyKeyReused
from yimatong.access.models import idempotency
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.sealing import Sealer
from yimatong.kit.db import Connection
from yimatong.kit.together import Piece, together

_KEY_LENGTH_MAX = 64
KEPT: Final = timedelta(days=7)
"""How long a first answer is kept: well beyond the day for which callers and the outbox try again."""
_FORGOTTEN_AT_ONCE: Final = 10_000


def require(key: str) -> None:
    """Refuse a write without a usable key.

    Raises:
        IdempotencyKeyMissing: empty, too long, or not visible ASCII.
    """
    if not 0 < len(key) <= _KEY_LENGTH_MAX or not key.isascii() or not key.isprintable() or " " in key:
        raise IdempotencyKeyMissing


def digest(method: str, target: str, body: bytes) -> bytes:
    """Return what makes two requests the same: SM3 over method, target and body."""
    return sm3(f"{method}\n{target}\n".encode() + body)


async def forget(connection: Connection, *, before: datetime) -> int:
    """Remove answers given before a moment, a limited number at a time; return how many."""
    place = idempotency.c.caller_id, idempotency.c.key
    old = select(*place).where(idempotency.c.at < before).limit(_FORGOTTEN_AT_ONCE)
    done = await connection.execute(delete(idempotency).where(tuple_(*place).in_(old)))
    return int(done.rowcount)


class Slot:
    """The place of one write's answer."""

    def __init__(self, caller_id: str, key: str, request_digest: bytes, sealer: Sealer) -> None:
        """Name the place by caller and key."""
        self._caller_id = caller_id
        self._key = key
        self._digest = request_digest
        self._sealer = sealer
        self._aad = f"idempotency:{caller_id}:{key}".encode()

    async def take(self, connection: Connection, *, now: datetime) -> tuple[int, bytes] | None:
        """Return the first answer, or None when this request is the first.

        Raises:
            IdempotencyKeyReused: the key stands for another request.
        """
        place = {"caller_id": self._caller_id, "key": self._key}
        taken = await connection.execute(_TAKE, {**place, "digest": self._digest, "at": now})
        return None if taken.first() is not None else await self.find(connection)

    async def find(self, connection: Connection) -> tuple[int, bytes] | None:
        """Return the first answer if there is one by now.

        Raises:
            IdempotencyKeyReused: the key stands for another request.
        """
        row = (
            await connection.execute(
                select(idempotency.c.request_digest, idempotency.c.status, idempotency.c.answer).where(
                    idempotency.c.caller_id == self._caller_id, idempotency.c.key == self._key
                )
            )
        ).first()
        if row is None:
            return None
        if row.request_digest != self._digest:
            raise IdempotencyKeyReused
        return row.status, self._sealer.unseal(row.answer, self._aad)

    async def keep(self, connection: Connection, status: int, body: bytes) -> None:
        """Keep the answer beside the write that it tells of."""
        await together(connection, self.keeping(status, body))

    def keeping(self, status: int, body: bytes) -> Piece:
        """Return the piece of :meth:`keep`, for a statement that writes more."""
        place = {"caller_id": self._caller_id, "key": self._key}
        return Piece(_KEEP, {**place, "status": status, "answer": self._sealer.seal(body, self._aad)})


_TAKE: Final = text(
    """
    INSERT INTO access_idempotency (caller_id, key, request_digest, status, answer, at)
    VALUES (:caller_id, :key, :digest, 0, '', :at) ON CONFLICT DO NOTHING RETURNING key
    """
)
_KEEP: Final = """
    @kept AS (
        UPDATE access_idempotency SET status = :status, answer = :answer WHERE caller_id = :caller_id AND key = :key)
    """
