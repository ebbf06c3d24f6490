"""News for subscribers of PMIR (ITI-93 as the supplier): the person as she is now, in a message of the feed.

What a subscriber may see is decided when the message leaves, by its own right; that it was told is in the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from yimatong.access.callers import Directory
from yimatong.access.webhooks import Destinations
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import SubscriptionNotFound
from yimatong.empi.subscriptions import queries, service
from yimatong.empi.subscriptions.schemas import News, Subscription
from yimatong.gateways.fhir import bundles, encoding, negotiation, patients
from yimatong.gateways.fhir.encoding import Form
from yimatong.gateways.health.core import Asker, Index
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Handler, Message


def handlers(
    db: Database,
    vault: Vault,
    outbound: Outbound,
    destinations: Destinations,
    *,
    index: Index,
    base: str,
) -> Mapping[str, Handler]:
    """Return who delivers news in FHIR."""
    directory = Directory(db, vault)

    async def render(
        message_id: int, news: News, known: Subscription, refer: Callable[[str], str]
    ) -> tuple[bytes, str]:
        async with db.read() as connection:
            row = await queries.by_id(connection, known.subscription_id)
        if row is None:
            raise SubscriptionNotFound
        asker = Asker(
            caller=(await directory.get(row.caller_id)).caller,
            request_id=f"msg-{message_id}",
            path=f"subscription/{known.subscription_id}",
            now=news.at,
        )
        return await rendered(index, asker, message_id, news, known, mpi_ref=refer(news.mpi.hex), base=base)

    async def deliver(message: Message) -> None:
        await service.deliver(db, vault, outbound, destinations, message, render=render)

    return {service.PERSON_CHANGED_FHIR: deliver}


async def rendered(
    index: Index, asker: Asker, message_id: int, news: News, known: Subscription, *, mpi_ref: str, base: str
) -> tuple[bytes, str]:
    """Return the body and media type of the message about a change.

    Raises:
        NotPermitted: the subscriber may not read persons any more.
    """
    shown = await index.person(asker, mpi_ref)
    systems = await index.systems(asker, {each.domain for each in shown.hit.identifiers})
    patient = patients.patient(
        shown.hit, base=base, systems=systems, replaced_by=shown.replaced_by, version=shown.version
    )
    message = bundles.feed_message(
        patient, event=news.event, message_id=message_id, endpoint=known.url, base=base, at=news.at
    )
    form: Form = "xml" if known.payload == "fhir-xml" else "json"
    return encoding.write(message, form), negotiation.MEDIA_TYPES[form]
