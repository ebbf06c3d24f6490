"""The loop of every simulated party that sends notices by itself, and what becomes of a notice that was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from yimatong.kit import clock
from yimatong.kit.errors import PlatformError
from yimatong.kit.http import Outbound
from yimatong.sandbox.store import Store, Table

AT_ONCE_MAX: Final = 32
IDLE_S: Final = 0.2
NO_ANSWER: Final = 999
"""In place of an HTTP status."""


class SentNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What the notices of all parties have: ``state`` is pending, delivered, given_up or dropped (by a fault)."""

    notice_id: str
    due_at: datetime
    state: str = "pending"
    tries: int = 0


Sent = TypeVar("Sent", bound=SentNotice)


class Waking(Protocol):
    """The books of a party: its store, and what is set when there is something to do."""

    @property
    def store(self) -> Store:
        """Return the journal."""
        ...

    @property
    def wake(self) -> asyncio.Event:
        """Return what ends the loop's pause."""
        ...


class NoticeLoop(Generic[Sent]):
    """Does what is due and delivers notices side by side; one for each party and process."""

    def __init__(self, books: Waking) -> None:
        """Serve ``books``; nothing runs before ``run``."""
        self._waking = books
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def due(self, now: datetime) -> Iterable[Sent | None]:
        """Do what time brings, and return the notices that wait to be sent."""
        raise NotImplementedError

    async def deliver(self, outbound: Outbound, notice: Sent) -> None:
        """Send a notice and note what became of it."""
        raise NotImplementedError

    async def run(self) -> None:
        """Run until cancelled."""
        async with Outbound(connect_s=2.0, read_s=5.0) as outbound:
            try:
                while True:
                    await self._turn(outbound)
            finally:
                for task in self._under_way.values():
                    task.cancel()
                await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _turn(self, outbound: Outbound) -> None:
        books, moment = self._waking, clock.now()
        books.wake.clear()
        for notice in list(self.due(moment)):
            if notice is None or notice.due_at > moment or notice.notice_id in self._under_way:
                continue
            if len(self._under_way) < AT_ONCE_MAX:
                task = asyncio.create_task(self._delivered(outbound, notice))
                self._under_way[notice.notice_id] = task
                task.add_done_callback(partial(self._done, notice.notice_id))
        await books.store.flush()
        try:
            async with asyncio.timeout(IDLE_S):
                await books.wake.wait()
        except TimeoutError:
            return

    async def _delivered(self, outbound: Outbound, notice: Sent) -> None:
        await self.deliver(outbound, notice)
        await self._waking.store.flush()

    def _done(self, notice_id: str, _task: asyncio.Task[None]) -> None:
        self._under_way.pop(notice_id, None)
        self._waking.wake.set()


def after(notice: Sent, *, taken: bool, schedule_s: Sequence[float], factor: float) -> Sent:
    """Return a notice after it was sent once more: delivered, given up, or due again after the next pause."""
    tries = notice.tries + 1
    if taken:
        return msgspec.structs.replace(notice, state="delivered", tries=tries)
    if tries > len(schedule_s):
        return msgspec.structs.replace(notice, state="given_up", tries=tries)
    due_at = clock.now() + timedelta(seconds=schedule_s[tries - 1] * factor)
    return msgspec.structs.replace(notice, state="pending", tries=tries, due_at=due_at)


def again(notices: Table[Sent], notice_id: str, *, unknown: Exception) -> Sent:
    """Return a notice as it waits to be sent at once, whatever became of it before: dropped, given up or delivered.

    Raises:
        unknown: there is no such notice.
    """
    found = notices.get(notice_id)
    if found is None:
        raise unknown
    return msgspec.structs.replace(found, state="pending", due_at=clock.now())


async def posted(outbound: Outbound, party: str, url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send once; return the HTTP status, or 999 when there was no answer."""
    try:
        return (await outbound.send(party, "POST", url, body=body, headers=headers)).status
    except PlatformError:
        return NO_ANSWER
