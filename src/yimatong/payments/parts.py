"""The parts of an order: the payer's own, and what insurers pay. When money lands on the order, and when all is there.

An order is paid when every part is. Insurance parts are settled first, so that the payer's own part is never taken for
a bill that the insurer then does not share (the total is fund + account + own part + other, whatever fails between).
Money that finds its part taken, changed or on its way back is late. The order is locked by the caller.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, select

from yimatong.kit.db import Connection
from yimatong.payments.channels.base import Part
from yimatong.payments.models import attempt, leg
from yimatong.payments.states import ORDER_UNPAID

_COVERS: Final = {
    Part.CASH: frozenset({Part.CASH}),
    Part.INSURANCE: frozenset({Part.INSURANCE}),
    Part.COMMERCIAL: frozenset({Part.COMMERCIAL}),
    Part.WHOLE: frozenset({Part.CASH, Part.INSURANCE}),
}


def shared(held: Any) -> bool:
    """Say whether insurers pay a part of an order; of one that they do not, there is nothing to look up."""
    return bool(held.cash_fen != held.amount_fen)


async def legs(connection: Connection, order_no: str) -> dict[Part, Row[Any]]:
    """Return what insurers were found to pay, by part."""
    rows = await connection.execute(
        select(leg).where(leg.c.order_no == order_no, leg.c.state == "presettled").order_by(leg.c.part.desc())
    )
    return {Part(row.part): row for row in rows}


async def credited(connection: Connection, order_no: str) -> dict[Part, Row[Any]]:
    """Return the attempts whose money landed on the order, by the parts that they cover."""
    rows = await connection.execute(select(attempt).where(attempt.c.order_no == order_no, attempt.c.landed == "order"))
    return {part: row for row in rows for part in _COVERS[Part(row.part)]}


async def owed(connection: Connection, held: Row[Any]) -> dict[Part, int]:
    """Return what is to be paid of each part of an order, in fen; a part of nothing is left out."""
    wanted = {Part.CASH: int(held.cash_fen)} if held.cash_fen else {}
    if shared(held):
        wanted |= {part: int(row.amount_fen) for part, row in (await legs(connection, held.order_no)).items()}
    return wanted


async def lands(connection: Connection, held: Row[Any], tried: Row[Any]) -> bool:
    """Say whether the money of an attempt is still wanted on its order."""
    if held.state not in ORDER_UNPAID or held.reversing:
        return False
    if lands_plainly(held, tried):
        return True
    covers = _COVERS[Part(tried.part)]
    if not shared(held) and covers == {Part.CASH}:
        return False
    wanted = await owed(connection, held)
    taken = await credited(connection, held.order_no)
    return not covers & taken.keys() and sum(wanted.get(part, 0) for part in covers) == tried.amount_fen


def lands_plainly(held: Any, tried: Any) -> bool:
    """Say of an order that no insurer shares whether the money of an attempt is still wanted, and is all of it."""
    open_still = held.state in ORDER_UNPAID and not held.reversing
    alone = not shared(held) and tried.part == Part.CASH
    return bool(open_still and alone and tried.amount_fen == held.cash_fen)


async def complete(connection: Connection, held: Row[Any]) -> bool:
    """Say whether every part has its money."""
    if not shared(held):
        return True
    return (await owed(connection, held)).keys() <= (await credited(connection, held.order_no)).keys()


async def shown(connection: Connection, held: Row[Any], tried: Row[Any]) -> Row[Any]:
    """Return the attempt that an order is shown as paid by: that of the payer's own part, if there is one."""
    if not shared(held):
        return tried
    return (await credited(connection, held.order_no)).get(Part.CASH, tried)


async def shares(connection: Connection, tried: Row[Any]) -> dict[str, int]:
    """Return which channel owes how much of an attempt's money, in fen."""
    if tried.part != Part.WHOLE:
        return {tried.channel: int(tried.amount_fen)}
    insured = sum(tried.intent["components"].values())
    row = (
        await connection.execute(
            select(leg.c.channel).where(leg.c.order_no == tried.order_no, leg.c.part == Part.INSURANCE)
        )
    ).one()
    split = {tried.channel: int(tried.amount_fen) - insured, row.channel: insured}
    return {name: fen for name, fen in split.items() if fen}
