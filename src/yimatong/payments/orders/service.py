"""The verbs of orders: place one, open its cashier, close it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, text

from yimatong.access import sessions
from yimatong.access.caller import PLATFORM, Caller, Scope
from yimatong.access.errors import NotPermitted
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_number
from yimatong.payments import asking, history, ledger, sources
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AppTimeOver,
    ItemsDoNotAddUp,
    OrderExists,
    OrderExpired,
    OrderNotPayable,
    OrderNotRefundable,
    OrderNumbersExhausted,
)
from yimatong.payments.orders import queries
from yimatong.payments.orders.schemas import (
    EXPIRES_S_DEFAULT,
    CashierLink,
    Item,
    NewOrder,
    OrderStateView,
    PlacedOrder,
)
from yimatong.payments.service_channels import service as services
from yimatong.payments.states import ORDER_PAYABLE, ORDER_REFUNDABLE

DRAWS = 3
"""How often a number is drawn."""
LINK_S = 2 * 3600
"""A cashier link outlives a phone call, not the day."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What a payer room wants to be paid. ``source_kind``/``source_id`` is its own reference, opaque here."""

    institution_id: str
    caller_id: str
    source_kind: str
    source_id: str
    description: str
    items: list[Item]
    amount_fen: int
    expires_in_s: int = EXPIRES_S_DEFAULT
    app_s: int | None = None
    """How long it may be paid in an app; None: as long as anywhere."""
    vuid: str | None = None
    payer_vuid: str | None = None
    payer_caller_id: str | None = None
    service_channel_id: str | None = None
    terminal_no: str = ""
    return_url: str = ""
    """Where the cashier's page leads back to; checked by whoever demands."""


async def place(connection: Connection, new: NewOrder, *, desk: Desk, caller: Caller, now: datetime) -> PlacedOrder:
    """Place an order for an institution itself.

    Raises:
        ItemsDoNotAddUp, OrderExists, NotPermitted (a caller without an institution).
        ServiceChannelNotFound, ServiceChannelOff, TerminalNotOfChannel, ProofWrong: where it comes from does not hold.
    """
    if caller.institution_id is None:
        raise NotPermitted(permission="orders:write")
    placing = services.Placing(
        service_channel_id=new.service_channel_id,
        terminal_no=new.terminal_no,
        proof=new.proof,
        source_no=new.source_no,
        amount_fen=new.amount_fen,
    )
    await services.admit(connection, desk.vault, placing, caller=caller, now=now)
    return await create(connection, demanded(new, caller, caller.institution_id), desk=desk, now=now)


def demanded(new: NewOrder, caller: Caller, institution_id: str) -> Demand:
    """Return what an institution demands when it places an order itself."""
    return Demand(
        institution_id=institution_id,
        caller_id=caller.caller_id,
        source_kind=sources.DIRECT,
        source_id=new.source_no,
        description=new.description,
        items=new.items,
        amount_fen=new.amount_fen,
        expires_in_s=new.expires_in_s,
        vuid=new.vuid,
        service_channel_id=new.service_channel_id,
        terminal_no=new.terminal_no,
        return_url=new.return_url,
    )


async def create(connection: Connection, demand: Demand, *, desk: Desk, now: datetime) -> PlacedOrder:
    """Create an order in the open transaction of whoever wants the money.

    Raises:
        ItemsDoNotAddUp: the items do not add up to the amount.
        OrderExists: the source has an order that is not closed.
    """
    items_fen = sum(item.amount_fen for item in demand.items)
    if items_fen != demand.amount_fen:
        raise ItemsDoNotAddUp(items_fen=items_fen, amount_fen=demand.amount_fen)
    row = await _insert(connection, demand, now=now)
    return PlacedOrder(
        order_no=row.order_no,
        state=row.state,
        amount_fen=row.amount_fen,
        expires_at=row.expires_at,
        cashier_url=await _link(connection, row.order_no, desk=desk, now=now),
    )


async def new_cashier_link(
    connection: Connection, order_no: str, *, desk: Desk, scope: Scope, now: datetime
) -> CashierLink:
    """Make another link to the cashier page of an order that can still be paid.

    Raises:
        OrderNotFound, OrderNotPayable, OrderExpired.
    """
    row = await queries.row_of(connection, order_no, scope=scope)
    require_payable(row, now=now)
    return CashierLink(cashier_url=await _link(connection, order_no, desk=desk, now=now))


async def close(desk: Desk, order_no: str, *, scope: Scope, now: datetime) -> OrderStateView:
    """Run the close protocol on one's own order and return where it stands: ``closed``, ``closing`` or ``paid``.

    Raises:
        OrderNotFound, OrderNotClosable.
    """
    async with desk.db.read() as connection:
        await queries.row_of(connection, order_no, scope=scope)
    state = await asking.close_order(desk, order_no, now=now)
    return OrderStateView(order_no=order_no, state=state)


async def let_pay(
    connection: Connection, order_no: str, *, payer_vuid: str, payer_caller_id: str | None, now: datetime
) -> Row[Any]:
    """Let somebody pay an order by an app: it may see and pay the order from now on. The last one counts.

    Raises:
        OrderNotFound. OrderNotPayable, OrderExpired, AppTimeOver: it cannot be paid in an app.
    """
    held = await history.lock_order(connection, order_no, scope=PLATFORM)
    require_payable(held, at_counter=payer_caller_id is None, now=now)
    changed = await connection.execute(
        _LET_PAY, {"order_no": order_no, "vuid": payer_vuid, "caller_id": payer_caller_id, "now": now}
    )
    row: Row[Any] = changed.one()
    return row


async def use_deposit(connection: Connection, order_no: str, amount_fen: int, *, key: str, now: datetime) -> int:
    """Let a paid deposit pay for a stay, as far as it goes; return the fen that it gave. ``key``: the settlement's.

    Raises:
        OrderNotFound. OrderNotRefundable: it was never paid, or everything of it went back.
    """
    held = await history.lock_order(connection, order_no, scope=PLATFORM)
    if held.state not in ORDER_REFUNDABLE:
        raise OrderNotRefundable(state=held.state)
    used_fen = min(amount_fen, held.paid_fen - held.refund_reserved_fen - held.used_fen)
    if used_fen <= 0:
        return 0
    await connection.execute(_USE, {"order_no": order_no, "fen": used_fen, "now": now})
    posting = ledger.deposit_used(key=key, institution_id=held.institution_id, amount_fen=used_fen)
    await ledger.post(connection, order_no, posting, now=now)
    return int(used_fen)


_LET_PAY: Final = text(
    """
    UPDATE payments_order SET payer_vuid = :vuid, payer_caller_id = coalesce(:caller_id, payer_caller_id),
                              updated_at = :now, version = version + 1
    WHERE order_no = :order_no RETURNING *
    """
)
_USE: Final = text(
    """
    UPDATE payments_order SET used_fen = used_fen + :fen, updated_at = :now, version = version + 1
    WHERE order_no = :order_no
    """
)


def require_payable(row: Row[Any], *, at_counter: bool = False, now: datetime) -> None:
    """Refuse an order that no payment may be started for.

    Raises:
        OrderNotPayable: paid, closing or closed. OrderExpired: its time is over.
        AppTimeOver: its time in apps is over, and this is not a kiosk or window.
    """
    if row.state not in ORDER_PAYABLE:
        raise OrderNotPayable(state=row.state)
    if row.expires_at <= now:
        raise OrderExpired
    if paying_until(row, at_counter=at_counter) <= now:
        raise AppTimeOver


def paying_until(row: Row[Any], *, at_counter: bool) -> datetime:
    """Return until when an order may be paid there: the expiry that the channel is given."""
    until: datetime = row.expires_at
    return until if at_counter or row.app_until is None else min(until, row.app_until)


async def _link(connection: Connection, order_no: str, *, desk: Desk, now: datetime) -> str:
    token = await sessions.make_link(connection, subject=order_no, purpose="cashier", lifetime_s=LINK_S, now=now)
    return desk.cashier_url(token)


_MAKE: Final = text(
    """
    WITH made AS (
        INSERT INTO payments_order (order_no, institution_id, caller_id, source_kind, source_id, vuid, payer_vuid,
                                    payer_caller_id, service_channel_id, terminal_no, return_url, description, items,
                                    amount_fen, cash_fen, state, expires_at, app_until, created_at, updated_at,
                                    close_at)
        VALUES (:order_no, :institution_id, :caller_id, :source_kind, :source_id, :vuid, :payer_vuid,
                :payer_caller_id, :service_channel_id, :terminal_no, :return_url, :description, cast(:items AS jsonb),
                :amount_fen, :amount_fen, 'created', :expires_at, :app_until, :now, :now, :expires_at)
        ON CONFLICT DO NOTHING RETURNING *),
    told AS (
        INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
        SELECT order_no, 'order', order_no, NULL, state, 'created', created_at FROM made)
    SELECT * FROM made
    """
)


def draw(now: datetime) -> str:
    """Return a fresh order number. A random number that is taken (one in 10**6 on a busy day) is drawn again."""
    return new_number("P", f"{business_date(now):%Y%m%d}")


async def _insert(connection: Connection, demand: Demand, *, now: datetime) -> Row[Any]:
    """Insert under a fresh number."""
    for _ in range(DRAWS):
        made = await connection.execute(
            _MAKE,
            {
                "order_no": draw(now),
                "institution_id": demand.institution_id,
                "caller_id": demand.caller_id,
                "source_kind": demand.source_kind,
                "source_id": demand.source_id,
                "vuid": demand.vuid,
                "payer_vuid": demand.payer_vuid,
                "payer_caller_id": demand.payer_caller_id,
                "service_channel_id": demand.service_channel_id,
                "terminal_no": demand.terminal_no,
                "return_url": demand.return_url,
                "description": demand.description,
                "items": msgspec.json.encode(demand.items).decode(),
                "amount_fen": demand.amount_fen,
                "expires_at": now + timedelta(seconds=demand.expires_in_s),
                "app_until": None if demand.app_s is None else now + timedelta(seconds=demand.app_s),
                "now": now,
            },
        )
        row: Row[Any] | None = made.first()
        if row is not None:
            return row
        taken = await queries.open_of_source(
            connection,
            institution_id=demand.institution_id,
            source_kind=demand.source_kind,
            source_id=demand.source_id,
        )
        if taken is not None:
            raise OrderExists(source_id=demand.source_id, order_no=taken)
    raise OrderNumbersExhausted
