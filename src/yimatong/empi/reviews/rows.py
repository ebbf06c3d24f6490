"""A review's own row and steps: held, read, changed, noted."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert, select, update

from yimatong.crypto.sealing import Sealer
from yimatong.empi.errors import ReviewNotFound, ReviewNotWaiting
from yimatong.empi.merges import pointers
from yimatong.empi.models import review, review_step
from yimatong.kit.db import Connection

WAITING: Final = ("open", "asked", "later")


def note_aad(review_id: str) -> bytes:
    """Bind a sealed note to its review."""
    return f"empi_review_step:{review_id}".encode()


async def keep_note(
    connection: Connection, review_id: str, what: str, words: str, *, operator: str, sealer: Sealer, now: datetime
) -> None:
    """Note a step with words of its own, sealed."""
    sealed = sealer.seal(words.encode(), note_aad(review_id)) if words else None
    await connection.execute(
        insert(review_step).values(review_id=review_id, at=now, operator_id=operator, what=what, note_sealed=sealed)
    )


async def locked(connection: Connection, review_id: str) -> Row[Any]:
    """Hold a review; the lock of the pointers comes first, because a merge closes reviews while it has that."""
    await pointers.hold(connection)
    row = (await connection.execute(select(review).where(review.c.review_id == review_id).with_for_update())).first()
    if row is None:
        raise ReviewNotFound
    return row


async def waiting(connection: Connection, review_id: str) -> Row[Any]:
    """Hold a review that nobody decided yet.

    Raises:
        ReviewNotFound, ReviewNotWaiting.
    """
    row = await locked(connection, review_id)
    if row.state not in WAITING:
        raise ReviewNotWaiting
    return row


async def change(connection: Connection, review_id: str, **values: object) -> None:
    """Change columns of a review."""
    await connection.execute(update(review).where(review.c.review_id == review_id).values(**values))
