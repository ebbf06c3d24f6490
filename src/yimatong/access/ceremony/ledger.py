"""The platform's own ledger of the device's keys, in the database, so that a device put back to an older state shows.

A keystore file, a virtual machine or a hardware module can be restored from before a destruction, a switch-off or the
cut-off. The device itself cannot know; the ledger does, and every listing and the worker compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.ceremony.schemas import LedgerEntry
from yimatong.access.models import key_ledger
from yimatong.crypto.devices.base import CryptoDevice, KeyInfo, KeyState, KeyUsage
from yimatong.kit.db import Connection

DEVICE: Final = "device"


def book(device: CryptoDevice) -> tuple[list[KeyInfo], bool]:
    """Return every version the device knows, and whether it is cut off; may raise ``DeviceUnavailable``."""
    return [info for usage in KeyUsage for info in device.key_versions(usage)], device.is_cut_off


def contradictions(
    ledger: Iterable[LedgerEntry], infos: Sequence[KeyInfo], *, is_cut_off: bool
) -> list[tuple[LedgerEntry, str]]:
    """Return the entries that the device has gone back behind, each with what the device says instead.

    Going on is no contradiction: a version newly made or switched off beyond the ledger is simply newer.
    """
    known = {(info.usage.value, info.version): info for info in infos}
    found: list[tuple[LedgerEntry, str]] = []
    for entry in ledger:
        if entry.usage == DEVICE:
            if not is_cut_off:
                found.append((entry, "not cut off"))
            continue
        info = known.get((entry.usage, entry.version))
        if info is None:
            found.append((entry, "missing"))
        elif info.kcv != entry.kcv:
            found.append((entry, f"KCV {info.kcv}"))
        elif _earlier(info.state, entry.state):
            found.append((entry, info.state.value))
    return found


def _earlier(device: KeyState, ledger: KeyState) -> bool:
    order = [KeyState.READY, KeyState.ACTIVE, KeyState.ENABLED, KeyState.DISABLED, KeyState.DESTROYED]
    return order.index(device) < order.index(ledger)


async def entries(connection: Connection) -> list[LedgerEntry]:
    """Return the whole ledger, by usage, newest version first."""
    rows = await connection.execute(select(key_ledger).order_by(key_ledger.c.usage, key_ledger.c.version.desc()))
    return [
        LedgerEntry(
            usage=row.usage,
            version=row.version,
            state=KeyState(row.state),
            kcv=row.kcv,
            made_at=row.made_at,
            since=row.since,
        )
        for row in rows
    ]


async def write(
    connection: Connection,
    infos: Sequence[KeyInfo],
    *,
    is_cut_off: bool,
    now: datetime,
    allowed: Mapping[tuple[str, int], KeyState],
) -> None:
    """Bring the ledger to what the device says, except where that would go back; ``allowed`` names switch-ons."""
    known = {(entry.usage, entry.version): entry for entry in await entries(connection)}
    for info in infos:
        entry = known.get((info.usage.value, info.version))
        if entry is not None and (entry.state is info.state or entry.kcv != info.kcv):
            continue
        back = entry is not None and _earlier(info.state, entry.state)
        if back and allowed.get((info.usage.value, info.version)) is not info.state:
            continue
        await _put(connection, info, now)
    if is_cut_off and (DEVICE, 0) not in known:
        await connection.execute(
            insert(key_ledger)
            .values(usage=DEVICE, version=0, state=KeyState.DISABLED.value, kcv="", made_at=now, since=now)
            .on_conflict_do_nothing()
        )


async def _put(connection: Connection, info: KeyInfo, now: datetime) -> None:
    known = {"usage": info.usage, "version": info.version, "state": info.state.value, "kcv": info.kcv}
    await connection.execute(
        insert(key_ledger)
        .values(**known, made_at=now, since=now)
        .on_conflict_do_update(index_elements=["usage", "version"], set_={"state": info.state.value, "since": now})
    )
