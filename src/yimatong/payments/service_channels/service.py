"""The verbs of service channels: register, change, switch off, rotate keys, terminals; each with its audit row.

Where a service channel is told is checked when it is given, and again at each delivery (``access.webhooks``). Keys are
drawn here, told once and sealed. A key that was rotated out counts until its grace is over.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, insert, update

from yimatong.access import callers
from yimatong.access.caller import PLATFORM, Caller
from yimatong.access.webhooks import Destinations
from yimatong.crypto.vault import Vault
from yimatong.kit import audit
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id
from yimatong.payments.errors import (
    ProofWrong,
    ServiceChannelInvalid,
    ServiceChannelNotFound,
    ServiceChannelOff,
    TerminalExists,
    TerminalNotOfChannel,
)
from yimatong.payments.models import service_channel
from yimatong.payments.service_channels import keyring, queries
from yimatong.payments.service_channels.keyring import Keyring
from yimatong.payments.service_channels.schemas import (
    Issued,
    NewServiceChannel,
    ServiceChannel,
    ServiceChannelChange,
    Terminal,
)

GRACE_S: Final = 7 * 86400
"""How long a key counts after it was rotated out, where nobody says otherwise."""
GRACE_S_MAX: Final = 90 * 86400
TERMINALS_MAX: Final = 500


class By(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, when: what the audit row says."""

    actor: str
    request_id: str
    now: datetime


async def register(
    connection: Connection,
    vault: Vault,
    new: NewServiceChannel,
    *,
    destinations: Destinations,
    known: Collection[str],
    by: By,
) -> Issued:
    """Register a service channel and draw its keys. ``known``: the payment channels that the platform has.

    Raises:
        ServiceChannelInvalid: an unknown caller, institution or payment channel, or a terminal twice.
        WebhookAddressRefused: nothing is delivered to ``notify_url``.
    """
    _require_known(new.channels, known)
    await _require_owner(connection, new)
    _require_terminals(new.terminals)
    if new.notify_url:
        destinations.check(new.notify_url)
    service_channel_id, ring = (
        new_id("svc"),
        Keyring(key=_key(), terminals={t.terminal_no: _key() for t in new.terminals}),
    )
    merchant_no = f"S{secrets.randbelow(10**14):014d}"
    await connection.execute(
        insert(service_channel).values(
            service_channel_id=service_channel_id,
            merchant_no=merchant_no,
            keys_sealed=await queries.sealed(vault, service_channel_id, ring),
            created_at=by.now,
            updated_at=by.now,
            **{name: msgspec.to_builtins(getattr(new, name)) for name in NewServiceChannel.__struct_fields__},
        )
    )
    await _note(connection, "register", service_channel_id, by, detail=f"{new.kind} {merchant_no}")
    return Issued(
        service_channel_id=service_channel_id, merchant_no=merchant_no, key=ring.key, terminal_keys=ring.terminals
    )


async def change(
    connection: Connection,
    service_channel_id: str,
    wanted: ServiceChannelChange,
    *,
    destinations: Destinations,
    known: Collection[str],
    by: By,
) -> ServiceChannel:
    """Change name, payment channels or address; what is None stays.

    Raises:
        ServiceChannelNotFound, ServiceChannelInvalid, WebhookAddressRefused.
    """
    _require_known(wanted.channels or [], known)
    if wanted.notify_url:
        destinations.check(wanted.notify_url)
    values = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    row = await _update(connection, service_channel_id, by, **values)
    await _note(connection, "change", service_channel_id, by, detail=" ".join(sorted(values)))
    return queries.view(row)


async def switch(connection: Connection, service_channel_id: str, *, on: bool, by: By) -> ServiceChannel:
    """Switch a service channel on or off; off, no payment starts from it and it is told nothing.

    Raises:
        ServiceChannelNotFound: no such service channel.
    """
    row = await _update(connection, service_channel_id, by, state="active" if on else "off")
    await _note(connection, "on" if on else "off", service_channel_id, by)
    return queries.view(row)


async def rotate(
    connection: Connection, vault: Vault, service_channel_id: str, *, grace_s: int = GRACE_S, by: By
) -> Issued:
    """Draw a new merchant key; the present one counts for ``grace_s`` seconds more (0: it is dead at once).

    Raises:
        ServiceChannelNotFound, ServiceChannelInvalid (a grace that is too long).
    """
    if not 0 <= grace_s <= GRACE_S_MAX:
        raise ServiceChannelInvalid(detail=f"grace_s 0–{GRACE_S_MAX}")
    row = await queries.row_of(connection, service_channel_id, scope=PLATFORM, lock=True)
    ring = await queries.keyring(vault, row)
    fresh = Keyring(key=_key(), previous=ring.key if grace_s else "", terminals=ring.terminals)
    until = by.now + timedelta(seconds=grace_s) if grace_s else None
    await _update(
        connection,
        service_channel_id,
        by,
        keys_sealed=await queries.sealed(vault, service_channel_id, fresh),
        previous_until=until,
    )
    await _note(connection, "rotate", service_channel_id, by, detail=f"grace {grace_s} s")
    return Issued(
        service_channel_id=service_channel_id, merchant_no=row.merchant_no, key=fresh.key, previous_until=until
    )


async def put_terminal(
    connection: Connection, vault: Vault, service_channel_id: str, terminal: Terminal, *, again: bool = False, by: By
) -> Issued:
    """Add a terminal and draw its key; ``again`` draws a new key for one that is there (a changed machine).

    Raises:
        ServiceChannelNotFound, TerminalExists, TerminalNotOfChannel (``again``), ServiceChannelInvalid (too many).
    """
    row = await queries.row_of(connection, service_channel_id, scope=PLATFORM, lock=True)
    others = [each for each in _terminals(row) if each.terminal_no != terminal.terminal_no]
    there = len(others) < len(row.terminals)
    if there != again:
        raise (TerminalExists if there else TerminalNotOfChannel)(terminal_no=terminal.terminal_no)
    listed = sorted([*others, terminal], key=lambda each: each.terminal_no)
    _require_terminals(listed)
    ring, key = await queries.keyring(vault, row), _key()
    ring = msgspec.structs.replace(ring, terminals=ring.terminals | {terminal.terminal_no: key})
    await _keep_terminals(connection, vault, service_channel_id, listed, ring, by=by)
    await _note(connection, "terminal", service_channel_id, by, detail=terminal.terminal_no)
    return Issued(
        service_channel_id=service_channel_id, merchant_no=row.merchant_no, terminal_keys={terminal.terminal_no: key}
    )


async def remove_terminal(
    connection: Connection, vault: Vault, service_channel_id: str, terminal_no: str, *, by: By
) -> ServiceChannel:
    """Take a terminal away, with its key.

    Raises:
        ServiceChannelNotFound, TerminalNotOfChannel.
    """
    row = await queries.row_of(connection, service_channel_id, scope=PLATFORM, lock=True)
    others = [each for each in _terminals(row) if each.terminal_no != terminal_no]
    if len(others) == len(row.terminals):
        raise TerminalNotOfChannel(terminal_no=terminal_no)
    ring = await queries.keyring(vault, row)
    kept = {number: key for number, key in ring.terminals.items() if number != terminal_no}
    ring = msgspec.structs.replace(ring, terminals=kept)
    after = await _keep_terminals(connection, vault, service_channel_id, others, ring, by=by)
    await _note(connection, "terminal-removed", service_channel_id, by, detail=terminal_no)
    return queries.view(after)


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """What an order says of where it comes from."""

    service_channel_id: str | None
    terminal_no: str
    proof: str
    source_no: str
    amount_fen: int


async def admit(connection: Connection, vault: Vault, placing: Placing, *, caller: Caller, now: datetime) -> None:
    """Refuse an order that names a service channel which is not the caller's, is off, or has no such terminal.

    Where the terminal's orders need a proof, or one is given, it must hold.

    Raises:
        ServiceChannelNotFound, ServiceChannelOff, TerminalNotOfChannel, ProofWrong.
    """
    if placing.service_channel_id is None:
        if placing.terminal_no or placing.proof:
            raise ServiceChannelNotFound
        return
    row = await queries.row_of(connection, placing.service_channel_id, scope=caller.scope)
    if row.state != "active":
        raise ServiceChannelOff
    terminal = next((each for each in _terminals(row) if each.terminal_no == placing.terminal_no), None)
    if placing.terminal_no and terminal is None:
        raise TerminalNotOfChannel(terminal_no=placing.terminal_no)
    if not placing.proof and not (terminal and terminal.proof):
        return
    ring = await queries.keyring(vault, row)
    keys = (
        [ring.terminals[terminal.terminal_no]]
        if terminal
        else ring.counting(previous_until=row.previous_until, now=now)
    )
    text = keyring.proof_text(
        merchant_no=row.merchant_no,
        terminal_no=placing.terminal_no,
        source_no=placing.source_no,
        amount_fen=placing.amount_fen,
    )
    if not placing.proof:
        raise ProofWrong
    keyring.require_proof(keys, text, placing.proof)


async def _keep_terminals(
    connection: Connection, vault: Vault, service_channel_id: str, listed: Sequence[Terminal], ring: Keyring, *, by: By
) -> Row[Any]:
    return await _update(
        connection,
        service_channel_id,
        by,
        terminals=msgspec.to_builtins(listed),
        keys_sealed=await queries.sealed(vault, service_channel_id, ring),
    )


async def _update(connection: Connection, service_channel_id: str, by: By, **values: object) -> Row[Any]:
    changed = await connection.execute(
        update(service_channel)
        .where(service_channel.c.service_channel_id == service_channel_id)
        .values(updated_at=by.now, **values)
        .returning(service_channel)
    )
    row: Row[Any] | None = changed.first()
    if row is None:
        raise ServiceChannelNotFound
    return row


async def _note(connection: Connection, what: str, service_channel_id: str, by: By, *, detail: str = "") -> None:
    await audit.record(
        connection,
        actor=by.actor,
        action=f"service-channels:{what}",
        object_kind="service_channel",
        object_id=service_channel_id,
        request_id=by.request_id,
        now=by.now,
        detail=detail,
    )


def _key() -> str:
    return secrets.token_hex(keyring.KEY_BYTES)


def _terminals(row: Row[Any]) -> list[Terminal]:
    return msgspec.convert(row.terminals, list[Terminal])


def _require_known(channels: Collection[str], known: Collection[str]) -> None:
    unknown = sorted(set(channels) - set(known))
    if unknown:
        raise ServiceChannelInvalid(detail=f"channels: {', '.join(unknown)}")


def _require_terminals(terminals: Sequence[Terminal]) -> None:
    numbers = [each.terminal_no for each in terminals]
    if len(set(numbers)) < len(numbers) or len(numbers) > TERMINALS_MAX:
        raise ServiceChannelInvalid(detail="terminals")


async def _require_owner(connection: Connection, new: NewServiceChannel) -> None:
    ids = {new.caller_id} | ({new.institution_id} if new.institution_id else set())
    unknown = sorted(ids - await callers.registered(connection, ids))
    if unknown:
        raise ServiceChannelInvalid(detail=f"{', '.join(unknown)}: 未登记 / not registered")
    own = await callers.institutions_of(connection, {new.caller_id})
    if own.get(new.caller_id) not in (None, new.institution_id):
        raise ServiceChannelInvalid(detail="institution_id: 与调用方不符 / not the caller's")
