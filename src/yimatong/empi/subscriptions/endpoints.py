"""HTTP of subscriptions to the changes of persons."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from yimatong.access.edge import Call, documented
from yimatong.access.errors import WebhookAddressRefused
from yimatong.access.webhooks import Destinations
from yimatong.empi.errors import (
    PersonNotFound,
    SubscriptionIncomplete,
    SubscriptionNotAllowed,
    SubscriptionNotFound,
    SubscriptionOver,
)
from yimatong.empi.subscriptions import queries, service
from yimatong.empi.subscriptions.schemas import NewSubscription, Subscription, Subscriptions

Id = Annotated[str, PathParameter(pattern="^sub_[0-9a-f]{32}(?!\\n)$")]


@post(
    "/api/v1/person-subscriptions",
    permission="persons:subscribe",
    responses=documented(
        Subscription, WebhookAddressRefused, SubscriptionIncomplete, SubscriptionNotAllowed, PersonNotFound
    ),
)
async def make_subscription(
    data: JSONBody[NewSubscription],
    call: NamedDependency[Call],
    destinations: NamedDependency[Destinations],
    subscribers_to_all: NamedDependency[tuple[str, ...]],
) -> Response[bytes]:
    """Subscribe to the changes of a person, of a domain's persons, or of all; the same again is the same one."""
    return await call.write(
        lambda tx: service.subscribe(
            tx,
            call.vault,
            data,
            caller=call.caller,
            destinations=destinations,
            to_all=subscribers_to_all,
            now=call.now,
        )
    )


@get(
    "/api/v1/person-subscriptions",
    permission="persons:subscribe",
    responses=documented(Subscriptions, status=200),
)
async def list_subscriptions(
    call: NamedDependency[Call],
    after: Annotated[str, QueryParameter(pattern="^(sub_[0-9a-f]{32})?(?!\\n)$")] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
) -> Subscriptions:
    """List the caller's own subscriptions, ended ones among them."""
    return await call.read(lambda tx: queries.page(tx, call.vault, caller=call.caller, after=after, limit=limit))


@post(
    "/api/v1/person-subscriptions/{subscription_id:str}/pause",
    permission="persons:subscribe",
    responses=documented(Subscription, SubscriptionNotFound, SubscriptionOver),
)
async def pause_subscription(subscription_id: Id, call: NamedDependency[Call]) -> Response[bytes]:
    """Stop telling for a while; nothing that happens meanwhile is lost."""
    return await call.write(lambda tx: service.pause(tx, call.vault, subscription_id, caller=call.caller, now=call.now))


@post(
    "/api/v1/person-subscriptions/{subscription_id:str}/resume",
    permission="persons:subscribe",
    responses=documented(Subscription, SubscriptionNotFound, SubscriptionOver),
)
async def resume_subscription(subscription_id: Id, call: NamedDependency[Call]) -> Response[bytes]:
    """Go on telling, beginning with what happened during the pause."""
    return await call.write(
        lambda tx: service.resume(tx, call.vault, subscription_id, caller=call.caller, now=call.now)
    )


@post(
    "/api/v1/person-subscriptions/{subscription_id:str}/end",
    permission="persons:subscribe",
    responses=documented(Subscription, SubscriptionNotFound),
)
async def end_subscription(subscription_id: Id, call: NamedDependency[Call]) -> Response[bytes]:
    """End a subscription for good."""
    return await call.write(lambda tx: service.end(tx, call.vault, subscription_id, caller=call.caller, now=call.now))


ROUTES = [make_subscription, list_subscriptions, pause_subscription, resume_subscription, end_subscription]
