"""The verbs of insurance parts: ask what an insurer would pay, and leave it out again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit.db import Connection
from yimatong.kit.masking import Secret
from yimatong.payments import accounts, history, parts, placed
from yimatong.payments.channels.abilities import BillLine, Insured, PresettledPart, PresettleRequest, Presettling
from yimatong.payments.channels.base import ChannelAccount, Part
from yimatong.payments.desk import Desk
from yimatong.payments.errors import AttemptUnderWay, LegDoesNotFit, LegNotFound, LegNotOffered, LegSettled
from yimatong.payments.legs import queries
from yimatong.payments.legs.schemas import NewLeg, SharedOrder
from yimatong.payments.models import leg, order
from yimatong.payments.numbers import leg_no, require_order_no
from yimatong.payments.orders.schemas import Item
from yimatong.payments.orders.service import require_payable


async def presettle(
    desk: Desk, order_no: str, new: NewLeg, *, scope: Scope = PLATFORM, at_counter: bool = False, now: datetime
) -> SharedOrder:
    """Ask an insurer what it pays of an order and share the order so; asked again it replaces what was said before.

    Raises:
        OrderNotFound, OrderNotPayable, OrderExpired, AppTimeOver, ChannelNotOffered, LegNotOffered, LegSettled,
        AttemptUnderWay: nothing was asked.
        ChannelRefused, PartyUnreachable, PartyOutcomeUnknown: asked and not shared; ask again.
        LegDoesNotFit: the insurer's words do not fit the bill.
    """
    channel = desk.channel(new.channel)
    if not isinstance(channel, Presettling):
        raise LegNotOffered(channel=new.channel)
    part = Part(channel.part)
    async with desk.db.read() as connection:
        held = await _open(connection, order_no, part, scope=scope, at_counter=at_counter, lock=False, now=now)
        account = await accounts.of_institution(connection, desk.vault, held.institution_id, new.channel)
        before = await queries.row_of(connection, order_no, part)
        others_fen = sum(
            row.amount_fen for each, row in (await parts.legs(connection, order_no)).items() if each != part
        )
    number = leg_no(order_no, int(before.leg_no[-2:]) + 1 if before else 1)
    asked = _request(held, new, number, amount_fen=held.amount_fen - others_fen, now=now)
    said = await channel.presettle(account, asked, now=now)
    if not 0 <= said.amount_fen <= asked.amount_fen or sum(said.components.values()) != said.amount_fen:
        raise LegDoesNotFit(audit=f"{said.amount_fen} of {asked.amount_fen}: {dict(said.components)}")
    async with desk.db.transaction() as connection:
        held = await _open(connection, order_no, part, scope=scope, at_counter=at_counter, lock=True, now=now)
        await _keep(connection, desk, held, part, account=account, said=said, number=number, now=now)
        return await queries.of_order(connection, await _share_anew(connection, held, now=now))


async def drop(
    connection: Connection, order_no: str, part: str, *, scope: Scope = PLATFORM, now: datetime
) -> SharedOrder:
    """Leave an insurer out again; the payer pays its part herself.

    Raises:
        OrderNotFound, OrderNotPayable, OrderExpired, LegNotFound, LegSettled, AttemptUnderWay.
    """
    held = await _open(connection, order_no, Part(part), scope=scope, at_counter=True, lock=True, now=now)
    row = await queries.row_of(connection, order_no, part)
    if row is None or row.state != "presettled":
        raise LegNotFound(part=part)
    await connection.execute(
        update(leg).where(leg.c.order_no == order_no, leg.c.part == part).values(state="dropped", updated_at=now)
    )
    return await queries.of_order(connection, await _share_anew(connection, held, now=now))


async def _open(
    connection: Connection,
    order_no: str,
    part: Part,
    *,
    scope: Scope,
    at_counter: bool,
    lock: bool,
    now: datetime,
) -> Row[Any]:
    """Return an order that can still be shared in another way."""
    find = history.lock_order if lock else history.order_row
    held = await find(connection, require_order_no(order_no), scope=scope)
    require_payable(held, at_counter=at_counter, now=now)
    if part in await parts.credited(connection, order_no):
        raise LegSettled(part=part)
    waiting = await queries.open_attempt(connection, order_no)
    if waiting is not None:
        raise AttemptUnderWay(attempt_no=waiting)
    return held


def _request(held: Row[Any], new: NewLeg, number: str, *, amount_fen: int, now: datetime) -> PresettleRequest:
    items = msgspec.convert(held.items, list[Item])
    lines = [
        BillLine(name=each.name, amount_fen=each.amount_fen, quantity=each.quantity, code=each.code) for each in items
    ]
    return PresettleRequest(
        leg_no=number,
        order_no=held.order_no,
        institution_id=held.institution_id,
        visit_no=new.visit_no or held.source_id,
        description=held.description,
        lines=tuple(lines),
        amount_fen=amount_fen,
        insured=Insured(
            name=new.name,
            id_type=new.id_type,
            id_number=new.id_number,
            credential=new.credential,
            credential_no=Secret(new.credential_no),
        ),
        placed_at=now,
    )


async def _keep(
    connection: Connection,
    desk: Desk,
    held: Row[Any],
    part: Part,
    *,
    account: ChannelAccount,
    said: PresettledPart,
    number: str,
    now: datetime,
) -> None:
    """Record what the insurer said; a part of nothing is left out."""
    sealer = await desk.vault.sealer(placed.PURPOSE)
    told = msgspec.json.encode(dict(said.references))
    values = {
        "leg_no": number,
        "channel": account.channel,
        "account_id": account.account_id,
        "components": dict(said.components),
        "references_sealed": sealer.seal(told, placed.aad(held.order_no, part)),
        "state": "presettled" if said.amount_fen else "dropped",
        "updated_at": now,
        "expires_at": said.expires_at,
    }
    amount_fen = said.amount_fen or 1  # a dropped row is never counted; the check wants an amount
    await connection.execute(
        insert(leg)
        .values(order_no=held.order_no, part=part, amount_fen=amount_fen, created_at=now, **values)
        .on_conflict_do_update(index_elements=["order_no", "part"], set_={**values, "amount_fen": amount_fen})
    )


async def _share_anew(connection: Connection, held: Row[Any], *, now: datetime) -> Row[Any]:
    """Compute the payer's own part again and return the order's new row."""
    insured = select(func.coalesce(func.sum(leg.c.amount_fen), 0)).where(
        leg.c.order_no == held.order_no, leg.c.state == "presettled"
    )
    changed = await connection.execute(
        update(order)
        .where(order.c.order_no == held.order_no, order.c.version == held.version)
        .values(cash_fen=order.c.amount_fen - insured.scalar_subquery(), version=held.version + 1, updated_at=now)
        .returning(order)
    )
    row: Row[Any] = changed.one()
    return row
