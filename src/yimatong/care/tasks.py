"""News from payments about orders that pay for bills, and what the hospital's own system is told of its visits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from yimatong.access import callers, webhooks
from yimatong.care.bills import service as bills
from yimatong.care.log import CareLog
from yimatong.care.payables import service as payables
from yimatong.care.visits.releasing import VISIT_RELEASED
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Handler, Message
from yimatong.payments import sources

SOURCE_CHANGED: Final = "payments.source_changed"


def handlers(db: Database, vault: Vault, outbound: Outbound) -> Mapping[str, Handler]:
    """Return the outbox handlers of this room; a repeated or overtaken message changes nothing."""
    heard_by = {sources.BILL: bills.hear, sources.DEPOSIT: bills.hear, sources.SEVERAL: payables.hear}

    async def source_changed(message: Message) -> None:
        hear = heard_by[message.payload["source_kind"]]
        async with db.transaction() as connection:
            await hear(connection, message.payload)

    async def visit_released(message: Message) -> None:
        async with db.read() as connection:
            webhook = await callers.webhook_of(connection, vault, str(message.payload["institution_id"]))
        if webhook is None:
            CareLog.NO_WEBHOOK.emit(message_id=message.id, institution_id=message.payload["institution_id"])
            return
        body = msgspec.json.encode({"message_id": message.id} | message.payload, order="sorted")
        await webhooks.post(outbound, webhook, message_id=message.id, body=body)

    return {SOURCE_CHANGED: source_changed, VISIT_RELEASED: visit_released}
