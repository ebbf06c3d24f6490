"""A booked visit follows its registration fee (挂号费): paid, it is registered; closed unpaid, it is released.

The hospital's system is told of a release as ``care.visit_released``, once: the number it kept free is free again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, update

from yimatong.care.models import visit
from yimatong.kit import outbox
from yimatong.kit.db import Connection

VISIT_RELEASED: Final = "care.visit_released"
_FOLLOWS: Final = {"paid": "registered", "closed": "cancelled"}


async def follow_fee(connection: Connection, fee: Row[Any], news: Mapping[str, Any]) -> bool:
    """Move the booked visit of a registration fee as its order says; return True when the visit was released."""
    new = _FOLLOWS.get(news["state"])
    if new is None:
        return False
    moved = await connection.execute(
        update(visit)
        .where(
            visit.c.institution_id == fee.institution_id, visit.c.visit_no == fee.visit_no, visit.c.state == "booked"
        )
        .values(state=new)
    )
    if moved.rowcount == 0 or new != "cancelled":
        return False
    told = {
        "event": "visit_released",
        "at": news["at"],
        "institution_id": fee.institution_id,
        "visit_no": fee.visit_no,
        "bill_no": fee.bill_no,
        "order_no": news["order_no"],
    }
    await outbox.write(
        connection,
        topic=VISIT_RELEASED,
        ordering_key=f"visit:{fee.institution_id}:{fee.visit_no}",
        payload=told,
        now=datetime.fromisoformat(news["at"]),
    )
    return True
