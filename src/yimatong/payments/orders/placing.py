"""Orders that institutions place at the same moment, placed together: the shared form of ``service.place``.

Hospitals' systems place an order for each patient, many at once in the morning. Those that name no service channel
need nothing looked up; all that wait are written with a few statements and one commit (``access.shared``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from yimatong.access import sessions
from yimatong.access.caller import Caller
from yimatong.access.errors import NotPermitted
from yimatong.kit.arrays import moments, plain, texts
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ItemsDoNotAddUp, OrderExists, OrderNumbersExhausted
from yimatong.payments.orders import service
from yimatong.payments.orders.schemas import NewOrder, PlacedOrder
from yimatong.payments.orders.service import DRAWS, LINK_S, Demand

Outcome = PlacedOrder | PlatformError


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """One order on its way through a batch."""

    new: NewOrder
    caller: Caller
    now: datetime


def is_plain(new: NewOrder) -> bool:
    """Say whether an order names nothing that has to be looked up before it is placed."""
    return new.service_channel_id is None and not new.terminal_no and not new.proof


class Placer:
    """Places plain orders; ``place`` is the verb of a shared write."""

    def __init__(self, desk: Desk) -> None:
        """Cashier links lead where the desk says."""
        self._desk = desk

    async def place(self, connection: RawConnection, items: Sequence[Placement]) -> Sequence[Outcome]:
        """Place orders in the open transaction; one answer or refusal for each, in order.

        Refusals: ItemsDoNotAddUp, OrderExists, NotPermitted (a caller without an institution), OrderNumbersExhausted.
        """
        outcomes: dict[int, Outcome] = {}
        waiting: dict[int, tuple[Demand, datetime]] = {}
        for index, item in enumerate(items):
            refused = _refused(item)
            if refused is not None:
                outcomes[index] = refused
            elif item.caller.institution_id is not None:
                waiting[index] = service.demanded(item.new, item.caller, item.caller.institution_id), item.now
        for _ in range(DRAWS):
            made = await self._make(connection, waiting) if waiting else {}
            outcomes |= made
            waiting = {index: each for index, each in waiting.items() if index not in made}
        return [outcomes.get(index, OrderNumbersExhausted()) for index in range(len(items))]

    async def _make(self, connection: RawConnection, waiting: dict[int, tuple[Demand, datetime]]) -> dict[int, Outcome]:
        """Insert under fresh numbers; what is in neither outcome met a number that was taken."""
        numbers = {index: service.draw(now) for index, (_, now) in waiting.items()}
        cursor = await connection.execute(_MAKE, _columns(waiting, numbers))
        made: set[Any] = {row[0] for row in await cursor.fetchall()}
        done = [index for index in waiting if numbers[index] in made]
        if len(done) < len(waiting):
            outcomes = await _taken(connection, {index: each for index, each in waiting.items() if index not in done})
        else:
            outcomes = {}
        if not done:
            return outcomes
        subjects = [(numbers[index], waiting[index][1]) for index in done]
        tokens = await sessions.make_links(connection, subjects, purpose="cashier", lifetime_s=LINK_S)
        for index, token in zip(done, tokens, strict=True):
            demand, now = waiting[index]
            outcomes[index] = PlacedOrder(
                order_no=numbers[index],
                state="created",
                amount_fen=demand.amount_fen,
                expires_at=now + timedelta(seconds=demand.expires_in_s),
                cashier_url=self._desk.cashier_url(token),
            )
        return outcomes


def _refused(item: Placement) -> PlatformError | None:
    if item.caller.institution_id is None:
        return NotPermitted(permission="orders:write")
    items_fen = sum(line.amount_fen for line in item.new.items)
    if items_fen != item.new.amount_fen:
        return ItemsDoNotAddUp(items_fen=items_fen, amount_fen=item.new.amount_fen)
    return None


def _columns(waiting: dict[int, tuple[Demand, datetime]], numbers: dict[int, str]) -> tuple[object, ...]:
    demands = [demand for demand, _ in waiting.values()]
    return (
        texts(numbers[index] for index in waiting),
        texts(each.institution_id for each in demands),
        texts(each.caller_id for each in demands),
        texts(each.source_kind for each in demands),
        texts(each.source_id for each in demands),
        texts(each.vuid for each in demands),
        texts(each.return_url for each in demands),
        texts(each.description for each in demands),
        texts(msgspec.json.encode(each.items).decode() for each in demands),
        plain(each.amount_fen for each in demands),
        moments(now + timedelta(seconds=each.expires_in_s) for each, now in waiting.values()),
        moments(now for _, now in waiting.values()),
    )


_MAKE: Final = """
    WITH made AS (
        INSERT INTO payments_order (order_no, institution_id, caller_id, source_kind, source_id, vuid, terminal_no,
                                    return_url, description, items, amount_fen, cash_fen, state, expires_at,
                                    created_at, updated_at, close_at)
        SELECT o, i, c, k, s, v, '', u, d, t::jsonb, f, f, 'created', e, n, n, e
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                    %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
             AS x (o, i, c, k, s, v, u, d, t, f, e, n)
        ORDER BY i, s
        ON CONFLICT DO NOTHING RETURNING *),
    told AS (
        INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
        SELECT order_no, 'order', order_no, NULL, state, 'created', created_at FROM made)
    SELECT order_no FROM made
"""


async def _taken(connection: RawConnection, refused: dict[int, tuple[Demand, datetime]]) -> dict[int, Outcome]:
    """Return what those are told whose source has an order already."""
    demands = [demand for demand, _ in refused.values()]
    columns = (
        plain(refused),
        texts(each.institution_id for each in demands),
        texts(each.source_kind for each in demands),
        texts(each.source_id for each in demands),
    )
    rows: Sequence[Any] = await (await connection.execute(_TAKEN, columns)).fetchall()
    return {index: OrderExists(source_id=refused[index][0].source_id, order_no=number) for index, number in rows}


_TAKEN: Final = """
    SELECT x.ord, o.order_no FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS x (ord, i, k, s)
    JOIN payments_order o ON o.institution_id = x.i AND o.source_kind = x.k AND o.source_id = x.s
                         AND o.state <> 'closed'
"""
