"""The verb of preferred channels."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert

from yimatong.kit.db import Connection
from yimatong.payments.models import preference
from yimatong.payments.preferences import queries


async def remember(connection: Connection, order_no: str, channel: str, *, now: datetime) -> bool:
    """Keep the channel for an order's payer; False where the payer is not known, so that her browser may keep it.

    Raises:
        OrderNotFound: no such order.
    """
    vuid = await queries.payer_of(connection, order_no)
    if vuid is None:
        return False
    values = {"channel": channel, "updated_at": now}
    await connection.execute(
        insert(preference).values(vuid=vuid, **values).on_conflict_do_update(index_elements=["vuid"], set_=values)
    )
    return True
