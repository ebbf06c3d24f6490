"""Every SELECT of refunds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import Row, func, select

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.payments.channels.base import Part
from yimatong.payments.errors import OrderNotFound, RefundNotFound
from yimatong.payments.history import within
from yimatong.payments.models import attempt, leg, order, refund, refund_item
from yimatong.payments.numbers import order_of
from yimatong.payments.refunds.schemas import RefundView
from yimatong.payments.refunds.sharing import Came, Earlier, Share


def view(row: Row[Any], *, together: Sequence[Row[Any]] = ()) -> RefundView:
    """Return a refund's row as callers see it, with the numbers of all that its request became."""
    return RefundView(
        refund_no=row.refund_no,
        order_no=row.order_no,
        request_no=row.request_no,
        kind=row.kind,
        part=row.part,
        components=row.components,
        amount_fen=row.amount_fen,
        reason=row.reason,
        state=row.state,
        channel_refund_no=row.channel_refund_no or "",
        requested_at=row.created_at,
        succeeded_at=row.succeeded_at,
        together=[each.refund_no for each in together],
    )


async def find(connection: Connection, refund_no: str, *, scope: Scope) -> RefundView:
    """Return a refund.

    Raises:
        RefundNotFound: no such refund in ``scope``.
    """
    try:
        order_no = order_of(refund_no)
    except OrderNotFound as error:
        raise RefundNotFound from error
    found = await connection.execute(
        select(refund)
        .join(order, order.c.order_no == refund.c.order_no)
        .where(refund.c.order_no == order_no, refund.c.refund_no == refund_no, within(scope))
    )
    row = found.first()
    if row is None:
        raise RefundNotFound
    return view(row)


async def of_order(connection: Connection, order_no: str, *, scope: Scope) -> list[RefundView]:
    """Return an order's refunds, oldest first; none when the order lies outside ``scope``."""
    rows = await connection.execute(
        select(refund)
        .join(order, order.c.order_no == refund.c.order_no)
        .where(refund.c.order_no == order_no, within(scope))
        .order_by(refund.c.refund_no)
    )
    return [view(row) for row in rows]


async def by_request(connection: Connection, order_no: str, request_no: str) -> Sequence[Row[Any]]:
    """Return the refunds of a locked order that one number stands for, by number."""
    found = await connection.execute(
        select(refund)
        .where(refund.c.order_no == order_no, refund.c.request_no == request_no)
        .order_by(refund.c.refund_no)
    )
    return found.all()


async def of_locked_order(connection: Connection, order_no: str, refund_no: str) -> Row[Any] | None:
    """Return one refund of an order that the caller has locked."""
    found = await connection.execute(
        select(refund).where(refund.c.order_no == order_no, refund.c.refund_no == refund_no)
    )
    return found.first()


async def next_sequence(connection: Connection, order_no: str) -> int:
    """Return the sequence of a locked order's next refund."""
    number = await connection.execute(select(func.count()).select_from(refund).where(refund.c.order_no == order_no))
    return int(number.scalar_one()) + 1


async def came(connection: Connection, held: Row[Any]) -> dict[Part, Came]:
    """Return what came of each part of a paid order, and by which way it goes back."""
    found: dict[Part, Came] = {}
    for tried in await landed(connection, held.order_no):
        found |= {share.part: each for share, each in await came_by(connection, tried)}
    return found


async def landed(connection: Connection, order_no: str) -> Sequence[Row[Any]]:
    """Return the attempts whose money is on an order."""
    rows = await connection.execute(
        select(attempt)
        .where(attempt.c.order_no == order_no, attempt.c.landed == "order")
        .order_by(attempt.c.attempt_no)
    )
    return rows.all()


async def came_by(connection: Connection, tried: Row[Any]) -> list[tuple[Share, Came]]:
    """Return what one attempt brought, as shares of all of it, with the way back of each.

    The insurance part of an attempt that paid the whole goes back by the insurer's own account.
    """
    way = Came(amount_fen=tried.amount_fen, attempt_no=tried.attempt_no, account_id=tried.account_id)
    if tried.part == Part.CASH:
        return [(Share(part=Part.CASH, amount_fen=tried.amount_fen), way)]
    insured = Part.INSURANCE if tried.part == Part.WHOLE else Part(tried.part)
    row = (await connection.execute(select(leg).where(leg.c.order_no == tried.order_no, leg.c.part == insured))).one()
    brought = tried.intent.get("components") or row.components
    fen = sum(brought.values())
    back = Came(
        amount_fen=fen,
        attempt_no=tried.attempt_no,
        account_id=row.account_id if tried.part == Part.WHOLE else tried.account_id,
        components=brought,
    )
    shares = [(Share(part=insured, amount_fen=fen, components=brought), back)]
    if tried.part == Part.WHOLE and tried.amount_fen > fen:
        own = structs.replace(way, amount_fen=tried.amount_fen - fen)
        shares.insert(0, (Share(part=Part.CASH, amount_fen=own.amount_fen), own))
    return shares


async def earlier(connection: Connection, held: Row[Any]) -> list[Earlier]:
    """Return what is gone of a locked order: refunds that were asked for and are not closed, and a deposit used."""
    used = [Earlier(part=Part.CASH, amount_fen=held.used_fen)] if held.used_fen else []
    if held.refund_reserved_fen == 0:
        return used
    rows = await connection.execute(
        select(refund.c.part, refund.c.amount_fen, refund.c.components).where(
            refund.c.order_no == held.order_no, refund.c.kind == "asked", refund.c.state != "closed"
        )
    )
    asked = [Earlier(part=Part(row.part), amount_fen=row.amount_fen, components=row.components) for row in rows]
    return used + asked


async def items_gone(connection: Connection, order_no: str) -> dict[int, int]:
    """Return the fen that went back, or are on their way back, of each line of a locked order."""
    rows = await connection.execute(
        select(refund_item.c.line, func.sum(refund_item.c.amount_fen))
        .join(refund, (refund.c.order_no == refund_item.c.order_no) & (refund.c.refund_no == refund_item.c.refund_no))
        .where(refund.c.order_no == order_no, refund.c.state != "closed")
        .group_by(refund_item.c.line)
    )
    return {int(row[0]): int(row[1]) for row in rows}
