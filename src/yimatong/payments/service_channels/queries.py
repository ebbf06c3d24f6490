"""Every SELECT of service channels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, or_, select, true

from yimatong.access.caller import Scope
from yimatong.access.callers import Webhook
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.kit.masking import Secret
from yimatong.payments.errors import ServiceChannelNotFound
from yimatong.payments.models import service_channel
from yimatong.payments.service_channels.keyring import Keyring
from yimatong.payments.service_channels.schemas import ServiceChannel, ServiceChannels, Terminal

PURPOSE = "service-channel-keys"
ROWS_MAX = 500


async def allowed(connection: Connection, service_channel_id: str | None) -> frozenset[str] | None:
    """Return the payment channels that an order's service channel takes; None for any."""
    if service_channel_id is None:
        return None
    found = await connection.execute(
        select(service_channel.c.channels).where(service_channel.c.service_channel_id == service_channel_id)
    )
    channels = found.scalar_one_or_none()
    return frozenset(channels) if channels else None


async def find(connection: Connection, service_channel_id: str, *, scope: Scope) -> ServiceChannel:
    """Return one service channel.

    Raises:
        ServiceChannelNotFound: none in ``scope``.
    """
    return view(await row_of(connection, service_channel_id, scope=scope))


async def row_of(connection: Connection, service_channel_id: str, *, scope: Scope, lock: bool = False) -> Row[Any]:
    """Return a service channel's row, locked if asked for; errors as ``find``."""
    query = select(service_channel).where(service_channel.c.service_channel_id == service_channel_id, within(scope))
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    if row is None:
        raise ServiceChannelNotFound
    return row


async def of(
    connection: Connection, *, scope: Scope, institution_id: str = "", kind: str = "", state: str = ""
) -> ServiceChannels:
    """Return the service channels in ``scope``, by institution and merchant number; optionally some of them."""
    query = select(service_channel).where(within(scope))
    for column, wanted in (("institution_id", institution_id), ("kind", kind), ("state", state)):
        if wanted:
            query = query.where(service_channel.c[column] == wanted)
    order = service_channel.c.institution_id.nulls_first(), service_channel.c.merchant_no
    rows = await connection.execute(query.order_by(*order).limit(ROWS_MAX))
    return ServiceChannels(service_channels=[view(row) for row in rows])


async def names(connection: Connection, ids: set[str]) -> dict[str, str]:
    """Return the names of service channels by id and by merchant number; an unknown one is left out."""
    known = select(service_channel.c.service_channel_id, service_channel.c.merchant_no, service_channel.c.name).where(
        or_(service_channel.c.service_channel_id.in_(ids), service_channel.c.merchant_no.in_(ids))
    )
    rows = (await connection.execute(known)).all()
    return {row.service_channel_id: row.name for row in rows} | {row.merchant_no: row.name for row in rows}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service channel is told: signed with each key that counts, the present one first."""

    webhook: Webhook
    before: Webhook | None


async def told_at(connection: Connection, vault: Vault, service_channel_id: str, *, now: datetime) -> Told | None:
    """Return where a service channel is told of its orders; None where it gave no address, or is switched off."""
    found = await connection.execute(
        select(service_channel).where(
            service_channel.c.service_channel_id == service_channel_id, service_channel.c.state == "active"
        )
    )
    row = found.first()
    if row is None or not row.notify_url:
        return None
    ring = await keyring(vault, row)
    first, *rest = [
        Webhook(caller_id=row.merchant_no, url=row.notify_url, secret=Secret(key))
        for key in ring.counting(previous_until=row.previous_until, now=now)
    ]
    return Told(webhook=first, before=rest[0] if rest else None)


async def keyring(vault: Vault, row: Row[Any]) -> Keyring:
    """Return the keys of a service channel's row, unsealed."""
    plain = (await vault.sealer(PURPOSE)).unseal(bytes(row.keys_sealed), aad(row.service_channel_id))
    return msgspec.json.decode(plain, type=Keyring)


async def sealed(vault: Vault, service_channel_id: str, ring: Keyring) -> bytes:
    """Return keys as they are stored."""
    return (await vault.sealer(PURPOSE)).seal(msgspec.json.encode(ring), aad(service_channel_id))


def aad(service_channel_id: str) -> bytes:
    """Bind sealed keys to their service channel."""
    return b"payments_service_channel:" + service_channel_id.encode()


def within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that a service channel lies in ``scope``: its institution's, or the caller's own."""
    if scope.all_rows:
        return true()
    own = service_channel.c.caller_id == scope.caller_id
    if scope.institution_id is None:
        return own
    return or_(own, service_channel.c.institution_id == scope.institution_id)


def view(row: Row[Any]) -> ServiceChannel:
    """Return a row as people and callers see it."""
    return ServiceChannel(
        **{
            name: getattr(row, name)
            for name in ServiceChannel.__struct_fields__
            if name not in ("terminals", "channels")
        },
        terminals=msgspec.convert(row.terminals, list[Terminal]),
        channels=list(row.channels),
    )
