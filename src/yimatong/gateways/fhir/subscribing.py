"""Subscribe to Patient Updates (PMIR, ITI-94): a Subscription resource as a subscription of the index, and back."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from yimatong.empi.errors import SubscriptionNotFound
from yimatong.empi.identifiers import catalogue
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.subscriptions.schemas import NewSubscription, Subscription
from yimatong.gateways.errors import ElementMissing, SubscriptionRefused
from yimatong.gateways.fhir import reading
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index

_ID: Final = re.compile(r"sub-([0-9a-f]{32})", re.ASCII)
_REF: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CHANNELS: Final = ("message", "rest-hook")
_PAYLOADS: Final = {
    "application/fhir+json": "fhir-json",
    "application/json": "fhir-json",
    "application/fhir+xml": "fhir-xml",
    "application/xml": "fhir-xml",
}
_STATES: Final = {"active": "active", "paused": "off", "ended": "off"}


def id_of(resource_id: str) -> str:
    """Return the id of the subscription behind the id of a resource.

    Raises:
        SubscriptionNotFound: none could have it.
    """
    found = _ID.fullmatch(resource_id)
    if found is None:
        raise SubscriptionNotFound
    return f"sub_{found[1]}"


async def wanted(index: Index, asker: Asker, resource: Resource) -> NewSubscription:
    """Return what a Subscription asks for.

    Raises:
        SubscriptionRefused: criteria, channel, payload or header that are not served. ElementMissing.
    """
    reading.require_understood(resource, path="Subscription")
    if resource["resourceType"] != "Subscription":
        raise SubscriptionRefused(path="Subscription")
    channel: dict[str, Any] = resource.get("channel", {})
    for name in ("type", "endpoint", "payload"):
        if name not in channel:
            raise ElementMissing(path=f"Subscription.channel.{name}")
    if channel["type"] not in _CHANNELS:
        raise SubscriptionRefused(path="Subscription.channel.type")
    payload = _PAYLOADS.get(str(channel["payload"]).partition(";")[0].strip())
    if payload is None:
        raise SubscriptionRefused(path="Subscription.channel.payload")
    if "header" in channel:  # deliveries are signed with the subscriber's secret; others' secrets are not kept
        raise SubscriptionRefused(path="Subscription.channel.header")
    if "end" in resource:
        raise SubscriptionRefused(path="Subscription.end")
    scope = await _scope(index, asker, str(resource.get("criteria", "")))
    return NewSubscription(url=channel["endpoint"], payload=payload, **scope)  # type: ignore[arg-type]


async def _scope(index: Index, asker: Asker, criteria: str) -> dict[str, str]:
    """Return the scope of criteria (2:3.94.4.1.2.1.1): all, one patient, an organization, or an identifier."""
    kind, _, query = criteria.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    if kind != "Patient" or len(given) > 1 or (bool(query) and not given):
        raise SubscriptionRefused(path="Subscription.criteria")
    if not given:
        return {"scope": "all"}
    (name, value) = given[0]
    if name == "_id" and _REF.fullmatch(value.removeprefix("Patient/")):
        return {"scope": "person", "mpi_ref": value.removeprefix("Patient/")}
    if name == "organization" and value:
        return {"scope": "domain", "domain": catalogue.source(value.removeprefix("Organization/"))}
    if name == "identifier":
        system, bar, number = value.partition("|")
        domain = await index.domain(asker, system) if bar else None
        if domain is not None and not number:
            return {"scope": "domain", "domain": domain.code}
        if domain is not None:
            found = await index.resolve(asker, SourceNumber(domain=domain.code, number=number[:64]))
            return {"scope": "person", "mpi_ref": found.mpi_ref}
    raise SubscriptionRefused(path="Subscription.criteria")


async def resource_of(index: Index, asker: Asker, known: Subscription) -> Resource:
    """Return a subscription as a resource."""
    criteria = "Patient"
    if known.scope == "person":
        criteria = f"Patient?_id={known.mpi_ref}"
    elif known.scope == "domain":
        systems = await index.systems(asker)
        criteria = f"Patient?identifier={systems.system(known.domain)}|"
    payload = "application/fhir+xml" if known.payload == "fhir-xml" else "application/fhir+json"
    return {
        "resourceType": "Subscription",
        "id": known.subscription_id.replace("_", "-"),
        "meta": {"versionId": str(known.version)},
        "status": _STATES[known.state],
        "reason": "居民主索引变更通知 / changes of persons",
        "criteria": criteria,
        "channel": {"type": "message", "endpoint": known.url, "payload": payload},
    }


def switched(resource: Resource, resource_id: str) -> bool:
    """Return whether an updated Subscription is to be on: status ``requested`` or ``active``; off: ``off``.

    Raises:
        SubscriptionRefused: another status, another resource, or another id than that of the address.
    """
    if resource["resourceType"] != "Subscription" or resource.get("id", resource_id) != resource_id:
        raise SubscriptionRefused(path="Subscription.id")
    status = str(resource.get("status", ""))
    if status not in ("requested", "active", "off"):
        raise SubscriptionRefused(path="Subscription.status")
    return status != "off"
