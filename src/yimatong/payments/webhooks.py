"""Telling an institution's own system about its orders, by ``access.webhooks``, in order per order."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from yimatong.access import callers, webhooks
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Handler, Message
from yimatong.payments import news
from yimatong.payments.log import PaymentsLog

TOPICS = (news.ORDER_PAID, news.ORDER_CLOSED, news.REFUND_SUCCEEDED)


def handlers(db: Database, vault: Vault, outbound: Outbound) -> Mapping[str, Handler]:
    """Return the outbox handlers of the topics that institutions' systems are told of."""

    async def deliver(message: Message) -> None:
        await tell(db, vault, outbound, message)

    return dict.fromkeys(TOPICS, deliver)


async def tell(db: Database, vault: Vault, outbound: Outbound, message: Message) -> None:
    """POST one message to the institution's webhook; an institution that registered none reads its orders instead.

    Raises:
        WebhookNotTaken: any answer but 2xx. PartyUnreachable, PartyOutcomeUnknown: no answer.
    """
    async with db.read() as connection:
        webhook = await callers.webhook_of(connection, vault, str(message.payload["institution_id"]))
    if webhook is None:
        PaymentsLog.NO_WEBHOOK.emit(message_id=message.id, institution_id=message.payload["institution_id"])
        return
    body = msgspec.json.encode({"message_id": message.id} | message.payload, order="sorted")
    await webhooks.post(outbound, webhook, message_id=message.id, body=body)
