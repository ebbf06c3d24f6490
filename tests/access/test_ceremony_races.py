"""Key ceremonies beside others: two custodians at once, and writes that are still on their way."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from sqlalchemy import text
from test_ceremony import (  # noqa: F401 -- fixtures
    NOW,
    PROTECTION,
    SETTLED,
    Cable,
    agreed,
    cable,
    ceremonies,
    db,
    people,
    sealed_rows,
)

from yimatong.access.ceremony import ledger, queries
from yimatong.access.ceremony.schemas import Given, Request
from yimatong.access.errors import CeremonyRunning, KeySettling, WritesStillOpen
from yimatong.crypto.devices.base import KeyState
from yimatong.kit import clock

AT_ONCE = Request(action="rotate", usage="protection", emergency=True)
SECOND = Request(action="destroy", usage="protection", version=2, emergency=True)


class Slow(Cable):
    """A device that takes its time to make a key."""

    def __init__(self, device):
        super().__init__(device)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def generate(self, *args, **kwargs):
        self.begun.set()
        self.go_on.wait(30)
        return self.device.generate(*args, **kwargs)


async def test_two_custodians_at_once_are_one_rotation(ceremonies, people, cable, agreed, db):  # noqa: F811
    approval_id = await agreed(AT_ONCE)
    cable.device = slow = Slow(cable.device)
    first = asyncio.create_task(ceremonies.perform(approval_id, Given(), operator=people[0], now=NOW))
    await asyncio.to_thread(slow.begun.wait, 30)
    with pytest.raises(CeremonyRunning):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)
    slow.go_on.set()
    assert (await first).info.state is KeyState.ACTIVE
    async with db.read() as connection:
        assert (await queries.find(connection, approval_id)).state == "done"
        entries = {
            entry.version: entry.state for entry in await ledger.entries(connection) if entry.usage == PROTECTION
        }
    assert entries == {1: KeyState.ENABLED, 2: KeyState.ACTIVE}


async def test_a_name_is_held_by_one_and_free_when_its_holder_is_gone(db):  # noqa: F811
    async with db.alone("test") as first, db.alone("test") as second, db.alone("other") as other:
        assert (first, second, other) == (True, False, True)
    async with db.alone("test") as again:
        assert again


async def test_what_was_begun_is_waited_for_before_a_version_is_destroyed(ceremonies, people, agreed, db):  # noqa: F811
    for _ in range(2):
        await ceremonies.perform(await agreed(AT_ONCE), Given(), operator=people[1], now=NOW)
    approval_id = await agreed(SECOND)
    with pytest.raises(KeySettling, match="2026-03-01 10:00:30"):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=SETTLED - timedelta(seconds=1))
    async with db.transaction() as slow:  # it sealed a row under version 2, and has not committed yet
        began = (await slow.execute(text("SELECT now()"))).scalar_one()
        async with db.transaction() as connection:
            await connection.execute(text("UPDATE access_key_ledger SET since = :began"), {"began": began})
        with pytest.raises(WritesStillOpen):
            await ceremonies.perform(approval_id, Given(), operator=people[1], now=clock.now() + timedelta(hours=1))
    done = await ceremonies.perform(approval_id, Given(), operator=people[1], now=clock.now() + timedelta(hours=1))
    assert done.info.state is KeyState.DESTROYED
