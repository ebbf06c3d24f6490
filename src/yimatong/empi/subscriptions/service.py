"""Verbs of subscriptions (订阅): make, pause, resume, end, and deliver what the fan-out (``tasks``) wrote.

A pause loses nothing: what happens meanwhile is told when the subscription goes on, as long as the changes are kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import insert, text, update

from yimatong.access import callers, webhooks
from yimatong.access.caller import Caller, Scope
from yimatong.access.webhooks import Destinations
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import PersonNotFound, SubscriptionIncomplete, SubscriptionNotAllowed, SubscriptionOver
from yimatong.empi.events import queries as changes
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.identifiers import visibility
from yimatong.empi.models import subscription
from yimatong.empi.persons import queries as persons
from yimatong.empi.subscriptions import queries
from yimatong.empi.subscriptions.schemas import (
    News,
    NewSubscription,
    PersonChanged,
    ResidentSubscription,
    Subscription,
)
from yimatong.kit import outbox
from yimatong.kit.db import Connection, Database, RawConnection, raw
from yimatong.kit.http import Outbound
from yimatong.kit.ids import new_id
from yimatong.kit.outbox import Message

READER: Final = "subscriptions"
"""The name of the fan-out among the readers of changes."""

PERSON_CHANGED: Final = "empi.person_changed"
"""News in the platform's own words; delivered by this room."""

PERSON_CHANGED_FHIR: Final = "empi.person_changed_fhir"
"""News that a gateway writes as FHIR (``Subscription.payload`` says JSON or XML) and delivers by ``deliver``."""

_AT_ONCE: Final = 500

Render = Callable[[int, News, Subscription, Callable[[str], str]], Awaitable[tuple[bytes, str]]]
"""Writes a delivery: message id, news, subscription and what makes the subscriber's references; body and media type."""


async def subscribe(
    connection: Connection,
    vault: Vault,
    wanted: NewSubscription,
    *,
    caller: Caller,
    destinations: Destinations,
    to_all: Collection[str],
    now: datetime,
) -> Subscription:
    """Subscribe a caller; the same again is the same subscription. ``to_all``: callers who may be told of everybody.

    Raises:
        WebhookAddressRefused: nothing is delivered there. SubscriptionIncomplete: the scope and its object disagree.
        SubscriptionNotAllowed: a person of whom the caller has no record, another's domain, or all without a grant.
        PersonNotFound: no such person.
    """
    destinations.check(wanted.url)
    if bool(wanted.mpi_ref) != (wanted.scope == "person") or bool(wanted.domain) != (wanted.scope == "domain"):
        raise SubscriptionIncomplete
    mpi: UUID | None = None
    if wanted.scope == "person":
        mpi = UUID(await vault.mpi_from_ref(caller.holder, wanted.mpi_ref))
        if not await queries.exists(connection, mpi):
            raise PersonNotFound
        if not await queries.has_record(connection, mpi, caller=caller):
            raise SubscriptionNotAllowed
    elif wanted.scope == "domain":
        owner = await queries.domain_owner(connection, wanted.domain)
        if owner is None or owner != caller.institution_id:
            raise SubscriptionNotAllowed
    elif caller.caller_id not in to_all:
        raise SubscriptionNotAllowed
    return await _enter(connection, vault, wanted, mpi=mpi, caller=caller, subscriber="caller", now=now)


async def subscribe_resident(
    connection: Connection,
    vault: Vault,
    wanted: ResidentSubscription,
    *,
    mpi: UUID,
    caller: Caller,
    destinations: Destinations,
    now: datetime,
) -> Subscription:
    """Subscribe an app for the resident herself, who proved to it who she is (the room of cards has checked that).

    Raises:
        WebhookAddressRefused: nothing is delivered there. PersonNotFound: no such person.
    """
    destinations.check(wanted.url)
    today = (await persons.current(connection, mpi)).mpi
    made = NewSubscription(scope="person", url=wanted.url, events=wanted.events)
    return await _enter(connection, vault, made, mpi=today, caller=caller, subscriber="resident", now=now)


async def _enter(
    connection: Connection,
    vault: Vault,
    wanted: NewSubscription,
    *,
    mpi: UUID | None,
    caller: Caller,
    subscriber: str,
    now: datetime,
) -> Subscription:
    values = {
        "caller_id": caller.caller_id,
        "subscriber": subscriber,
        "scope": wanted.scope,
        "mpi": mpi,
        "domain": wanted.domain or None,
        "events": sorted(set(wanted.events)),
        "payload": wanted.payload,
        "url": wanted.url,
    }
    row = await queries.same(connection, values)
    if row is None:
        made = insert(subscription).values(subscription_id=new_id("sub"), created_at=now, **values)
        row = (await connection.execute(made.returning(subscription))).one()
    return queries.view(row, "" if mpi is None else await vault.mpi_ref(caller.holder, mpi.hex))


async def pause(
    connection: Connection, vault: Vault, subscription_id: str, *, caller: Caller, now: datetime
) -> Subscription:
    """Stop telling for a while; what was written already is still delivered.

    Raises:
        SubscriptionNotFound: none of the caller's. SubscriptionOver: it was ended.
    """
    inside = await raw(connection)
    row = await queries.owned(connection, subscription_id, caller=caller)
    refer = await vault.referrer(caller.holder)
    if row.state == "active":
        place = await changes.take(inside, READER, wait=True, now=now) or changes.START
        await inside.execute(_PAUSE, (*place, subscription_id))
    return await _standing(connection, subscription_id, caller=caller, refer=refer)


async def resume(
    connection: Connection, vault: Vault, subscription_id: str, *, caller: Caller, now: datetime
) -> Subscription:
    """Go on telling, beginning with what happened during the pause, in order.

    Raises:
        SubscriptionNotFound, SubscriptionOver: as ``pause``.
    """
    inside = await raw(connection)
    row = await queries.owned(connection, subscription_id, caller=caller)
    refer = await vault.referrer(caller.holder)
    if row.state == "paused":
        upto = await changes.take(inside, READER, wait=True, now=now) or changes.START
        held = (await connection.execute(queries.PAUSED, {"subscription_id": subscription_id})).one()
        if held.held_txid is not None:  # nobody else resumed it while this one waited for the cursor
            await connection.execute(_RESUME, {"subscription_id": subscription_id})
            place = changes.Place(held.held_txid, held.held_id)
            while some := await changes.after(inside, place, upto=upto, limit=_AT_ONCE):
                await write(inside, some, only=subscription_id, now=now)
                place = some[-1].place
    return await _standing(connection, subscription_id, caller=caller, refer=refer)


async def end(
    connection: Connection, vault: Vault, subscription_id: str, *, caller: Caller, now: datetime
) -> Subscription:
    """End a subscription for good; what waits for it is not delivered any more. Ending it again changes nothing.

    Raises:
        SubscriptionNotFound: none of the caller's.
    """
    row = await queries.owned(connection, subscription_id, caller=caller, lock=True)
    if row.state != "ended":
        done = (
            update(subscription)
            .where(subscription.c.subscription_id == subscription_id)
            .values(state="ended", ended_at=now, held_txid=None, held_id=None, version=subscription.c.version + 1)
        )
        row = (await connection.execute(done.returning(subscription))).one()
    return queries.view(row, "" if row.mpi is None else await vault.mpi_ref(caller.holder, row.mpi.hex))


async def end_resident(connection: Connection, mpis: Collection[UUID], *, now: datetime) -> None:
    """End what a resident had herself told (any of her ids): she has no card any more. Callers' own go on."""
    await connection.execute(
        update(subscription)
        .where(subscription.c.mpi.in_(mpis), subscription.c.subscriber == "resident", subscription.c.state != "ended")
        .values(state="ended", ended_at=now, held_txid=None, held_id=None, version=subscription.c.version + 1)
    )


_PAUSE = """
    UPDATE empi_subscription SET state = 'paused', held_txid = %s::xid8, held_id = %s, version = version + 1
    WHERE subscription_id = %s AND state = 'active'
"""
_RESUME = text(
    "UPDATE empi_subscription SET state = 'active', held_txid = NULL, held_id = NULL, version = version + 1"
    " WHERE subscription_id = :subscription_id AND state = 'paused'"
)


async def _standing(
    connection: Connection, subscription_id: str, *, caller: Caller, refer: Callable[[str], str]
) -> Subscription:
    row = await queries.owned(connection, subscription_id, caller=caller)
    if row.state == "ended":
        raise SubscriptionOver
    return queries.view(row, "" if row.mpi is None else refer(row.mpi.hex))


async def write(connection: RawConnection, some: list[changes.Change], *, only: str = "", now: datetime) -> int:
    """Write one outbox message for every subscriber of every change; return how many."""
    messages: list[tuple[str, str, dict[str, object]]] = []
    for told in await queries.told(connection, some, only=only):
        change = some[told.change]
        news = News(
            subscription_id=told.subscription_id,
            event=change.kind,
            mpi=change.mpi,
            other_mpi=change.other_mpi,
            domain=change.domain,
            version=change.version,
            at=change.at,
        )
        topic = PERSON_CHANGED if told.payload == "native" else PERSON_CHANGED_FHIR
        messages.append((topic, f"sub:{told.subscription_id}:{told.person}", msgspec.to_builtins(news)))
    await outbox.write_many(connection, messages, now=now)
    return len(messages)


async def deliver(
    db: Database,
    vault: Vault,
    outbound: Outbound,
    destinations: Destinations,
    message: Message,
    *,
    render: Render,
) -> None:
    """Deliver one message, signed with the subscriber's secret. One whose subscription was ended is dropped.

    Raises:
        WebhookNotTaken, PartyUnreachable, PartyOutcomeUnknown: it is tried again, and parked in the end.
        WebhookAddressRefused: nothing is delivered there any more. CallerNotApproved: the subscriber is suspended.
    """
    news = msgspec.convert(message.payload, News)
    async with db.read() as connection:
        row = await queries.by_id(connection, news.subscription_id)
        if row is None or row.state == "ended":
            return
        webhook, holder = await callers.signing_as(connection, vault, row.caller_id, url=row.url)
        if row.subscriber == "caller":
            scope = Scope(institution_id=holder, caller_id=row.caller_id)
            news = await _as_seen(connection, news, scope)
    await destinations.check_now(row.url)
    refer = await vault.referrer(holder)
    known = queries.view(row, "" if row.mpi is None else refer(row.mpi.hex))
    body, media_type = await render(message.id, news, known, refer)
    await webhooks.post(outbound, webhook, message_id=message.id, body=body, content_type=media_type)


async def _as_seen(connection: Connection, news: News, scope: Scope) -> News:
    """Return news without a domain that its subscriber may not know of: where somebody is treated is her own matter."""
    if not news.domain:
        return news
    known = (await identifiers.domains_of(await raw(connection), [news.domain])).get(news.domain)
    trusted, owner = (known.trusted, known.institution_id) if known else ((), None)
    hidden = visibility.sight(news.domain, trusted, owner, scope) == "none"
    return msgspec.structs.replace(news, domain=None) if hidden else news


async def native(message_id: int, news: News, known: Subscription, refer: Callable[[str], str]) -> tuple[bytes, str]:
    """Write news in the platform's own words."""
    body = PersonChanged(
        message_id=message_id,
        subscription_id=known.subscription_id,
        event=news.event,
        mpi_ref=refer(news.mpi.hex),
        other_mpi_ref="" if news.other_mpi is None else refer(news.other_mpi.hex),
        domain=news.domain or "",
        version=news.version,
        at=news.at,
    )
    return msgspec.json.encode(body, order="sorted"), webhooks.JSON
