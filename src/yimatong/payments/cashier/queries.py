"""Every SELECT of the cashier."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, false, func, select, text, true

from yimatong.access import callers
from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit.db import Connection
from yimatong.payments import accounts
from yimatong.payments.cashier.offers import offers
from yimatong.payments.cashier.schemas import CashierView, OpenAttempt, Pulse
from yimatong.payments.channels.base import CashierAction, Part
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelNotOffered, OrderNotFound
from yimatong.payments.health import queries as health
from yimatong.payments.history import within
from yimatong.payments.legs import queries as legs
from yimatong.payments.models import attempt, order, service_channel
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders.schemas import Item, OrderStateView, OrderView
from yimatong.payments.service_channels import queries as services
from yimatong.payments.states import ATTEMPT_OPEN, ORDER_PAYABLE, AttemptState

_LIFE: Final = timedelta(days=8)
_LISTED: Final = 50


async def view(connection: Connection, desk: Desk, order_no: str, *, scope: Scope) -> CashierView:
    """Return what the cashier of an order shows.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    row = await orders.row_of(connection, order_no, scope=scope)
    allowed = await services.allowed(connection, row.service_channel_id)
    names = await accounts.offered(connection, row.institution_id)
    kind = await _kind(connection, row.service_channel_id)
    troubled = await _troubled(connection, row.institution_id)
    found = [
        msgspec.structs.replace(each, troubled=each.channel in troubled)
        for each in offers(names, desk.channels, kind=kind, allowed=allowed)
    ]
    return CashierView(
        order_no=row.order_no,
        institution_name=await callers.institution_name(connection, row.institution_id),
        description=row.description,
        items=msgspec.convert(row.items, list[Item]),
        amount_fen=row.amount_fen,
        cash_fen=row.cash_fen,
        state=row.state,
        expires_at=row.expires_at,
        app_until=row.app_until,
        channels=[each.channel for each in found if each.part == Part.CASH and not each.troubled],
        offers=found,
        legs=[each for each in (await legs.of_order(connection, row)).legs if each.state != "dropped"],
        paid_at=row.paid_at,
        refunded_fen=row.refunded_fen,
        return_url=row.return_url,
    )


async def _kind(connection: Connection, service_channel_id: str | None) -> str | None:
    if service_channel_id is None:
        return None
    found = await connection.execute(
        select(service_channel.c.kind).where(service_channel.c.service_channel_id == service_channel_id)
    )
    return found.scalar_one_or_none()


async def _troubled(connection: Connection, institution_id: str) -> frozenset[str]:
    """Return the channels of an institution that are not answering now: the one place that asks for channel health."""
    return await health.hidden(connection, institution_id)


async def pulse(connection: Connection, order_no: str) -> Pulse:
    """Return how an order stands, by one statement; whoever asks has proven that the order is hers.

    Raises:
        OrderNotFound: no such order.
    """
    newest = (
        select(
            attempt.c.attempt_no,
            attempt.c.part,
            (attempt.c.state == AttemptState.UNKNOWN).label("unknown"),
            attempt.c.action.is_not(None).label("ready"),
        )
        .where(attempt.c.order_no == order.c.order_no, attempt.c.state.in_(ATTEMPT_OPEN))
        .order_by(attempt.c.attempt_no.desc())
        .limit(1)
        .lateral()
    )
    landed = (
        select(func.count())
        .where(attempt.c.order_no == order.c.order_no, attempt.c.landed == "order")
        .scalar_subquery()
    )
    found = await connection.execute(
        select(
            order.c.state,
            order.c.expires_at,
            order.c.app_until,
            order.c.cash_fen,
            order.c.refunded_fen,
            landed.label("landed"),
            func.coalesce(newest.c.attempt_no, "").label("attempt_no"),
            func.coalesce(newest.c.part, "").label("attempt_part"),
            func.coalesce(newest.c.unknown, false()).label("unknown"),
            func.coalesce(newest.c.ready, false()).label("ready"),
        )
        .select_from(order.outerjoin(newest, true()))
        .where(order.c.order_no == order_no)
    )
    row = found.first()
    if row is None:
        raise OrderNotFound
    return Pulse(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented accessor


async def payable_of(connection: Connection, vuids: Sequence[str], *, scope: Scope, now: datetime) -> list[OrderView]:
    """Return a resident's orders in ``scope`` that can be paid at a kiosk or window now, newest first.

    ``vuids``: everything that her account is known by. An order lives for a week at most, so older ones are not read.
    """
    rows = await connection.execute(
        select(order)
        .where(
            within(scope),
            order.c.vuid.in_(vuids),
            order.c.state.in_(ORDER_PAYABLE),
            order.c.expires_at > now,
            order.c.created_at > now - _LIFE,
        )
        .order_by(order.c.created_at.desc(), order.c.order_no.desc())
        .limit(_LISTED)
    )
    return [orders.view(row) for row in rows]


async def whose(connection: Connection, order_no: str) -> tuple[str | None, str | None]:
    """Return the VUIDs of the patient and of the payer of an order; None where they are not known.

    Raises:
        OrderNotFound: no such order.
    """
    row = await orders.row_of(connection, order_no, scope=PLATFORM)
    return row.vuid, row.payer_vuid


async def status(connection: Connection, order_no: str, *, scope: Scope) -> OrderStateView:
    """Return where an order stands in our books; errors as ``view``."""
    row = await orders.row_of(connection, order_no, scope=scope)
    return OrderStateView(order_no=row.order_no, state=row.state)


async def open_attempt(connection: Connection, order_no: str, *, scope: Scope) -> OpenAttempt | None:
    """Return the newest attempt of an order whose outcome is open, or None; errors as ``view``."""
    row = await orders.row_of(connection, order_no, scope=scope)
    found = await connection.execute(
        select(attempt)
        .where(attempt.c.order_no == row.order_no, attempt.c.state.in_(ATTEMPT_OPEN))
        .order_by(attempt.c.attempt_no.desc())
        .limit(1)
    )
    newest = found.first()
    if newest is None:
        return None
    action = msgspec.convert(newest.action or {}, CashierAction)
    return OpenAttempt(
        attempt_no=newest.attempt_no,
        channel=newest.channel,
        scene=newest.scene,
        part=newest.part,
        unknown=newest.state == AttemptState.UNKNOWN,
        qr_text=action.qr_text,
        redirect_url=action.redirect_url,
        form=action.form,
    )


async def reusable(
    connection: Connection, order_no: str, *, channel: str, scene: str, part: str
) -> tuple[Row[Any] | None, int]:
    """Return the open attempt of a locked order with the same channel, scene and part, and the next sequence."""
    found = await connection.execute(
        _REUSABLE, {"order_no": order_no, "channel": channel, "scene": str(scene), "part": str(part)}
    )
    row = found.one()
    return (None if row.attempt_no is None else row), int(row.made) + 1


_REUSABLE: Final = text(
    """
    SELECT n.made, o.* FROM (SELECT count(*) AS made FROM payments_attempt WHERE order_no = :order_no) n
    LEFT JOIN LATERAL (
        SELECT * FROM payments_attempt
        WHERE order_no = :order_no AND channel = :channel AND scene = :scene AND part = :part
          AND state IN ('started', 'unknown')
        ORDER BY attempt_no DESC LIMIT 1) o ON true
    """
)


async def require_allowed(connection: Connection, held: Row[Any], channel: str) -> None:
    """Refuse a channel that the order's service channel does not take.

    Raises:
        ChannelNotOffered: it does not.
    """
    allowed = await services.allowed(connection, held.service_channel_id)
    if allowed is not None and channel not in allowed:
        raise ChannelNotOffered(channel=channel)


async def next_sequence(connection: Connection, order_no: str) -> int:
    """Return the sequence of a locked order's next attempt."""
    number = await connection.execute(select(func.count()).select_from(attempt).where(attempt.c.order_no == order_no))
    return int(number.scalar_one()) + 1


async def of_locked_order(connection: Connection, order_no: str, attempt_no: str) -> Row[Any]:
    """Return one attempt of an order that the caller has locked."""
    found = await connection.execute(
        select(attempt).where(attempt.c.order_no == order_no, attempt.c.attempt_no == attempt_no)
    )
    return found.one()


async def worth_asking(connection: Connection, order_no: str) -> list[str]:
    """Return the numbers of an order's open attempts."""
    rows = await connection.execute(
        select(attempt.c.attempt_no).where(attempt.c.order_no == order_no, attempt.c.state.in_(ATTEMPT_OPEN))
    )
    return list(rows.scalars())
