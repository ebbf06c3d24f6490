"""Every SELECT of preferred channels."""

from __future__ import annotations

from sqlalchemy import select

from yimatong.kit.db import Connection
from yimatong.payments.cashier import queries as cashier
from yimatong.payments.models import preference


async def payer_of(connection: Connection, order_no: str) -> str | None:
    """Return the VUID under which an order's payer is known: the one who pays for somebody else, or the patient.

    Raises:
        OrderNotFound: no such order.
    """
    patient, payer = await cashier.whose(connection, order_no)
    return payer or patient


async def preferred(connection: Connection, order_no: str) -> str | None:
    """Return the channel that an order's payer used last; empty for a payer without one, None for an unknown payer.

    Raises:
        OrderNotFound: no such order.
    """
    vuid = await payer_of(connection, order_no)
    if vuid is None:
        return None
    found = await connection.execute(select(preference.c.channel).where(preference.c.vuid == vuid))
    return found.scalar_one_or_none() or ""
