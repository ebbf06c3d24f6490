"""Telling an institution's own system about its orders, and the service channel that a payment started from.

Both by ``access.webhooks``, in order per order; each has an order of its own, so that an app that is down never holds
up the hospital. Every try leaves one row (``deliveries``), whatever became of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from yimatong.access import callers, webhooks
from yimatong.access.callers import Webhook
from yimatong.access.errors import WebhookNotTaken
from yimatong.access.webhooks import Destinations
from yimatong.crypto.vault import Vault
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong.kit.errors import PlatformError
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Handler, Message
from yimatong.payments import news
from yimatong.payments.deliveries import service as deliveries
from yimatong.payments.deliveries.service import Try
from yimatong.payments.log import PaymentsLog
from yimatong.payments.service_channels import queries as services

TOPICS = (news.ORDER_PAID, news.ORDER_CLOSED, news.REFUND_SUCCEEDED)


def handlers(
    db: Database,
    vault: Vault,
    outbound: Outbound,
    *,
    destinations: Destinations | None = None,
    more: Iterable[str] = (),
    now: Callable[[], datetime] = clock.now,
) -> Mapping[str, Handler]:
    """Return the outbox handlers of the topics that institutions' systems and service channels are told of.

    ``destinations``: where service channels may be told; without it their addresses are not checked again. ``more``:
    other rooms' topics that go to an institution's system.
    """
    teller = Teller(db, vault, outbound, destinations=destinations, now=now)
    return dict.fromkeys((*TOPICS, *more), teller.tell) | {news.SERVICE_TOLD: teller.tell_service}


class Teller:
    """Tells of orders; what it reads and writes for those that are told at once shares a transaction."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        outbound: Outbound,
        *,
        destinations: Destinations | None,
        now: Callable[[], datetime],
    ) -> None:
        """Connect to nothing before the first message."""
        self._db = db
        self._vault = vault
        self._outbound = outbound
        self._destinations = destinations
        self._now = now
        self._webhooks = db.batch(callers.webhooks(vault), lanes=1)
        self._tries = db.batch(deliveries.record, lanes=1)

    async def tell(self, message: Message) -> None:
        """POST one message to the institution's webhook; an institution that registered none reads its orders instead.

        Raises:
            WebhookNotTaken: any answer but 2xx. PartyUnreachable, PartyOutcomeUnknown: no answer.
        """
        webhook = await self._webhooks.submit(str(message.payload["institution_id"]))
        if webhook is None:
            PaymentsLog.NO_WEBHOOK.emit(message_id=message.id, institution_id=message.payload["institution_id"])
            return
        await self._post(message, webhook, None, destinations=None)

    async def tell_service(self, message: Message) -> None:
        """POST one message to the order's service channel, signed by its merchant key in its merchant number's name.

        A service channel without an address, or one that is switched off, is told nothing. Errors as ``tell``, and
        ``WebhookAddressRefused`` where its address has become one that nothing is delivered to.
        """
        async with self._db.single() as connection:
            told = await services.told_at(
                connection, self._vault, str(message.payload["service_channel_id"]), now=self._now()
            )
        if told is not None:
            await self._post(message, told.webhook, told.before, destinations=self._destinations)

    async def _post(
        self, message: Message, webhook: Webhook, before: Webhook | None, *, destinations: Destinations | None
    ) -> None:
        body = msgspec.json.encode({"message_id": message.id} | message.payload, order="sorted")
        at, began, status = self._now(), time.monotonic(), 0
        failure: PlatformError | None = None
        try:
            if destinations is not None:
                await destinations.check_now(webhook.url)
            status = await webhooks.post(self._outbound, webhook, message_id=message.id, body=body, before=before)
        except PlatformError as error:
            failure = error
            said = error.facts.get("status") if isinstance(error, WebhookNotTaken) else 0
            status = said if isinstance(said, int) else 0
        if "order_no" in message.payload:
            await self._tries.submit(
                Try(
                    order_no=str(message.payload["order_no"]),
                    message_id=message.id,
                    topic=message.topic,
                    receiver=webhook.caller_id,
                    status=status,
                    cause=failure.code if failure else "",
                    took_ms=int((time.monotonic() - began) * 1000),
                    at=at,
                )
            )
        if failure is not None:
            raise failure
