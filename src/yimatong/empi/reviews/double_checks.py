"""A drawn share of decided reviews, judged again by another operator who does not see the first answer.

Whether a review is drawn depends on its id alone, so nobody can foresee or repeat a draw until it suits.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.empi.errors import DoubleCheckNotOpen
from yimatong.empi.models import double_check
from yimatong.kit import alarms
from yimatong.kit.db import Connection

SHARE: Final = 0.05
"""The share that is drawn where the settings say nothing."""

ALARM: Final = "double-check"
_STEPS: Final = 1 << 32


def drawn(review_id: str, share: float) -> bool:
    """Say whether a review is among the drawn share (0 to 1)."""
    place = int.from_bytes(hashlib.sha256(f"double-check:{review_id}".encode()).digest()[:4], "big")
    return place < share * _STEPS


async def draw(
    connection: Connection, review_id: str, *, operator: str, outcome: str, share: float, now: datetime
) -> bool:
    """Put a decided review up for a second judge if it is drawn; return whether it is."""
    if not drawn(review_id, share):
        return False
    values = {
        "first_operator": operator,
        "first_outcome": outcome,
        "second_operator": None,
        "second_outcome": None,
        "drawn_at": now,
        "checked_at": None,
    }
    await connection.execute(
        upsert(double_check)
        .values(review_id=review_id, **values)
        .on_conflict_do_update(index_elements=["review_id"], set_=values)
    )
    return True


async def answer(connection: Connection, review_id: str, outcome: str, *, operator: str, now: datetime) -> str:
    """Keep the second answer and return the first one.

    Raises:
        DoubleCheckNotOpen: nothing was drawn, it was checked, or this operator judged first.
    """
    done = await connection.execute(
        update(double_check)
        .where(
            double_check.c.review_id == review_id,
            double_check.c.checked_at.is_(None),
            double_check.c.first_operator != operator,
        )
        .values(second_operator=operator, second_outcome=outcome, checked_at=now)
        .returning(double_check.c.first_outcome)
    )
    first = done.scalar_one_or_none()
    if first is None:
        raise DoubleCheckNotOpen
    return str(first)


async def forget(connection: Connection, review_id: str) -> None:
    """Drop a draw that nobody answered: its decision was taken back. An answered one stays for the metrics."""
    await connection.execute(
        delete(double_check).where(double_check.c.review_id == review_id, double_check.c.checked_at.is_(None))
    )


async def first_answers(connection: Connection, review_id: str) -> tuple[str, str] | None:
    """Return (operator, outcome) of the first judge, or None; for the page after both have answered."""
    row = (
        await connection.execute(
            select(double_check.c.first_operator, double_check.c.first_outcome).where(
                double_check.c.review_id == review_id, double_check.c.checked_at.is_not(None)
            )
        )
    ).first()
    return None if row is None else (row[0], row[1])


async def raise_alarm(connection: Connection, review_id: str, *, first: str, second: str, now: datetime) -> None:
    """Tell people that two judges disagree."""
    await alarms.raise_alarm(connection, kind=ALARM, subject=review_id, detail=f"{first} / {second}", now=now)
