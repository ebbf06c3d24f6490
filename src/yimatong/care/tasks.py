"""News from payments: every change of an order that pays for a bill arrives here through the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from yimatong.care.bills import service as bills
from yimatong.kit.db import Database
from yimatong.kit.outbox import Handler, Message

SOURCE_CHANGED: Final = "payments.source_changed"


def handlers(db: Database) -> Mapping[str, Handler]:
    """Return the outbox handlers of this room; a repeated or overtaken message changes nothing."""

    async def source_changed(message: Message) -> None:
        if message.payload["source_kind"] != bills.SOURCE_KIND:
            raise LookupError(message.payload["source_kind"])
        async with db.transaction() as connection:
            await bills.hear(connection, message.payload)

    return {SOURCE_CHANGED: source_changed}
