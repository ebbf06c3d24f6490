"""What the worker does for subscriptions: fan out changes, deliver native news, forget old changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from yimatong.access.webhooks import Destinations
from yimatong.crypto.vault import Vault
from yimatong.empi.events import queries as changes
from yimatong.empi.subscriptions import service
from yimatong.kit.db import Database, raw
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Handler, Message

_AT_ONCE: Final = 500


def handlers(db: Database, vault: Vault, outbound: Outbound, destinations: Destinations) -> Mapping[str, Handler]:
    """Return who delivers native news; FHIR is a gateway's."""

    async def deliver(message: Message) -> None:
        await service.deliver(db, vault, outbound, destinations, message, render=service.native)

    return {service.PERSON_CHANGED: deliver}


async def fan_out(db: Database, *, now: datetime) -> int:
    """Write messages for the next changes and move the cursor, both in one transaction; return how many changes.

    Of several workers one does it at a time; one that is killed leaves the changes to the next.
    """
    async with db.transaction() as connection:
        inside = await raw(connection)
        place = await changes.take(inside, service.READER, now=now)
        if place is None:
            return 0
        some = await changes.after(inside, place, limit=_AT_ONCE)
        if not some:
            return 0
        await service.write(inside, some, now=now)
        await changes.move(inside, service.READER, some[-1].place, now=now)
        return len(some)


async def forget_changes(db: Database, *, keep_days: int, now: datetime) -> int:
    """Forget changes that are older than the settings keep them and behind every reader; return how many."""
    forgotten = 0
    while True:
        async with db.transaction() as connection:
            some = await changes.forget(await raw(connection), before=now - timedelta(days=keep_days))
        forgotten += some
        if some < changes.FORGET_ROWS:
            return forgotten
