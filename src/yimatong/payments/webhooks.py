"""Telling an institution's own system: signed like a request of the native API, at least once, in order per order.

The outbox repeats what was not taken for a day; a repeat carries the same ``Idempotency-Key``, so a system that books
and then fails to answer recognises it. Any 2xx is *taken*.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from yimatong.access import callers, request_auth
from yimatong.crypto.vault import Vault
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Handler, Message
from yimatong.payments import news
from yimatong.payments.errors import WebhookNotTaken
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
    parts = urlsplit(webhook.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    timestamp, nonce, key = int(clock.now().timestamp()), secrets.token_hex(16), f"msg-{message.id}"
    signed = request_auth.request_text(
        method="POST", target=target, timestamp=timestamp, nonce=nonce, bound=key, body=body
    )
    signature = request_auth.sign(bytes.fromhex(str.__str__(webhook.secret)), signed)
    headers = {
        "content-type": "application/json",
        "idempotency-key": key,
        "authorization": request_auth.header(
            caller_id=webhook.caller_id, timestamp=timestamp, nonce=nonce, signature=signature
        ),
    }
    answer = await outbound.send("webhook", "POST", webhook.url, body=body, headers=headers)
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise WebhookNotTaken(status=answer.status)
