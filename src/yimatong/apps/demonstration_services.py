"""Demonstration service channels: the first hospital's windows and kiosks, and the app on both phones and as 小程序.

The app's own server is a receiver of the simulated world, so what it is told can be seen there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from yimatong.access.caller import PLATFORM
from yimatong.access.callers import Institution
from yimatong.apps.assembly import Parts
from yimatong.kit.db import Connection
from yimatong.kit.settings import Settings
from yimatong.payments.service_channels import queries, service
from yimatong.payments.service_channels.schemas import (
    Kind,
    NewServiceChannel,
    ServiceChannel,
    ServiceChannelChange,
    Terminal,
)
from yimatong.payments.service_channels.service import By
from yimatong.sandbox.app import World
from yimatong.sandbox.his import Hospital

APPS: Final[tuple[tuple[Kind, str], ...]] = (
    ("ios", "健康示范 APP（iOS）"),
    ("android", "健康示范 APP（安卓）"),
    ("mini_program", "健康示范小程序"),
)
WINDOWS: Final = tuple(Terminal(terminal_no=f"W{number:02d}", name=f"收费 {number} 号窗") for number in (1, 2, 3))
KIOSKS: Final = tuple(
    Terminal(terminal_no=f"K{number:02d}", name=f"门诊{floor}楼自助机", proof=True)
    for number, floor in ((1, "一"), (2, "二"))
)


async def load(
    connection: Connection, parts: Parts, hospital: Institution, *, his: str, app: str, now: datetime
) -> dict[str, str]:
    """Register them and return the keys that were drawn, by names for the file of keys."""
    keys: dict[str, str] = {}
    by = By(actor="demonstration", request_id="demonstration", now=now)
    at_hospital: tuple[tuple[Kind, str, list[Terminal]], ...] = (
        ("his_window", "收费窗口", list(WINDOWS)),
        ("kiosk", "门诊自助机", list(KIOSKS)),
    )
    wanted = [
        NewServiceChannel(
            kind=kind, name=name, caller_id=his, institution_id=hospital.institution_id, terminals=terminals
        )
        for kind, name, terminals in at_hospital
    ] + [NewServiceChannel(kind=kind, name=name, caller_id=app) for kind, name in APPS]
    told: dict[str, str] = {}
    for each in wanted:
        made = await service.register(
            connection, parts.vault, each, destinations=parts.destinations, known=parts.channels, by=by
        )
        keys[f"service-{each.kind}"] = made.key
        keys |= {f"service-{each.kind}-{number}": key for number, key in made.terminal_keys.items()}
        if each.caller_id == app:
            told[made.merchant_no] = made.key
    await _receive(parts.settings, told)
    await renew(connection, parts, app=app, now=now)
    return keys


async def renew(connection: Connection, parts: Parts, *, app: str, now: datetime) -> None:
    """Tell the database where the app's simulated server is now; ports may have moved since the last start."""
    found = await queries.of(connection, scope=PLATFORM)
    for each in found.service_channels:
        url = _url(parts.settings, each)
        if each.caller_id == app and each.notify_url != url:
            await service.change(
                connection,
                each.service_channel_id,
                ServiceChannelChange(notify_url=url),
                destinations=parts.destinations,
                known=parts.channels,
                by=By(actor="demonstration", request_id="demonstration", now=now),
            )


async def _receive(settings: Settings, told: dict[str, str]) -> None:
    """Let the simulated world know whose messages it receives, and by which key they are signed."""
    world = World(settings.data / "sandbox")
    try:
        for merchant_no, key in told.items():
            world.his.hospitals.put(merchant_no, Hospital(caller_id=merchant_no, secret_hex=key))
        await world.store.flush()
    finally:
        world.store.close()


def _url(settings: Settings, each: ServiceChannel) -> str:
    return f"{settings.addresses.sandbox}/his/{each.merchant_no}/notifications"
