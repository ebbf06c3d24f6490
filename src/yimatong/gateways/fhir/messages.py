"""Mobile Patient Identity Feed (PMIR, ITI-93): messages taken, and messages that subscribers are sent.

Each entry of the history is an event of its own. What was taken before another entry failed stays; sending the message
again does the rest, for the same record again is the same record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.gateways.errors import ElementMissing, ElementRefused, FeedDomainUnknown, MessageRefused
from yimatong.gateways.fhir import feeding, outcomes, reading
from yimatong.gateways.fhir.capability import PMIR
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index, Known
from yimatong.kit.errors import PlatformError, Unavailable

FEED: Final = "urn:ihe:iti:pmir:2019:patient-feed"
ANSWER: Final = "urn:ihe:iti:pmir:2019:patient-feed-response"
_ENTRIES_MAX: Final = 500
_REF: Final = re.compile(r"Patient/([0-9a-f]{32})(?:/_history/.*)?", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_NAMES: Final = UUID("7a0bb31c-1f0e-5c6a-9a55-3c2b4ad0a7c1")
METHODS: Final[Mapping[str, str]] = {
    "registered": "POST",
    "updated": "PUT",
    "merged": "PUT",
    "unmerged": "PUT",
    "cancelled": "PUT",
    "restored": "PUT",
    "linked": "PUT",
    "unlinked": "PUT",
}
"""The request that would have made a change, by event."""


async def process(index: Index, asker: Asker, message: Resource, *, base: str) -> Resource:
    """Take a feed message and return the message that answers it.

    Raises:
        MessageRefused, ElementMissing: not a feed message. The first entry's refusal where no entry was taken.
    """
    header, history = _parts(message)
    entries: list[dict[str, Any]] = history.get("entry", [])
    if not 0 < len(entries) <= _ENTRIES_MAX:
        raise MessageRefused(path="Bundle.entry[1].resource.entry")
    failures: list[tuple[int, PlatformError]] = []
    for number, entry in enumerate(entries):
        try:
            await _take(index, asker, entry, f"Bundle.entry[1].resource.entry[{number}]", base=base)
        except PlatformError as refusal:
            failures.append((number, refusal))
    if len(failures) == len(entries):
        raise failures[0][1]
    return _answer(header, message, failures, base=base, now=asker.now)


def _parts(message: Resource) -> tuple[Resource, Resource]:
    """Return header and history of a feed message (2:3.93.4.1.2)."""
    entries: list[dict[str, Any]] = message.get("entry", [])
    if message["resourceType"] != "Bundle" or message.get("type") != "message":
        raise MessageRefused(path="Bundle.type")
    header = entries[0].get("resource", {}) if entries else {}
    if header.get("resourceType") != "MessageHeader":
        raise MessageRefused(path="Bundle.entry[0].resource")
    reading.require_understood(header, path="MessageHeader")
    if header.get("eventUri") != FEED:
        raise MessageRefused(path="MessageHeader.eventUri")
    if not header.get("focus"):
        raise ElementMissing(path="MessageHeader.focus")
    history = entries[1].get("resource", {}) if len(entries) > 1 else {}
    if history.get("resourceType") != "Bundle" or history.get("type") != "history":
        raise MessageRefused(path="Bundle.entry[1].resource")
    return header, history


async def _take(index: Index, asker: Asker, entry: dict[str, Any], path: str, *, base: str) -> None:
    """Do what one entry of the history says."""
    request: dict[str, Any] = entry.get("request", {})
    method, url = request.get("method"), str(request.get("url", ""))
    resource: Resource = entry.get("resource", {})
    if method == "DELETE":
        await _delete(index, asker, url or str(entry.get("fullUrl", "")), resource, path, base=base)
        return
    if method not in ("POST", "PUT"):
        raise MessageRefused(path=f"{path}.request.method")
    if resource.get("resourceType") != "Patient":
        raise MessageRefused(path=f"{path}.resource")
    if reading.replaced_by(resource):
        await index.merge(
            asker,
            retired=await _meant(index, asker, url, resource, path, base=base),
            surviving=await feeding.survivor(index, asker, reading.replaced_by(resource), base=base),
        )
        return
    said = reading.said(resource, await index.systems(asker))
    source = await index.own_number(asker, said.numbers)
    if source is None:
        raise FeedDomainUnknown
    await feeding.record(index, asker, source, said)


async def _delete(index: Index, asker: Asker, url: str, resource: Resource, path: str, *, base: str) -> None:
    meant = await _meant(index, asker, url, resource, path, base=base)
    if isinstance(meant, SourceNumber):
        await index.remove(asker, meant)
    else:
        await index.cancel(asker, meant, reason="other")


async def _meant(index: Index, asker: Asker, url: str, resource: Resource, path: str, *, base: str) -> Known:
    """Return which record an entry is about: its own number in the Patient, or what the request's address names."""
    numbers: tuple[SourceNumber, ...] = ()
    if resource.get("identifier"):
        systems = await index.systems(asker)
        found = ((systems.by_system(each.get("system", "")), each.get("value", "")) for each in resource["identifier"])
        numbers = tuple(reading.number(domain.code, value) for domain, value in found if domain and value)
    source = await index.own_number(asker, numbers)
    if source is not None:
        return source
    named = url.removeprefix(f"{base}/")
    kind, _, query = named.partition("?identifier=")
    if kind == "Patient" and query:
        return await feeding.survivor(index, asker, {"reference": named}, base=base)
    ref = _REF.fullmatch(named)
    if ref is None:
        raise ElementRefused(path=f"{path}.request.url", reason="Patient/[id], Patient?identifier=system|value")
    return ref[1]


def _answer(
    header: Resource, message: Resource, failures: list[tuple[int, PlatformError]], *, base: str, now: datetime
) -> Resource:
    """Return the response message: one MessageHeader, the outcomes of entries that failed inside it."""
    code = "ok"
    if failures:
        again = all(isinstance(error, Unavailable) for _, error in failures)
        code = "transient-error" if again else "fatal-error"
    name = str(header.get("id") or message.get("id") or "")
    response: Resource = {"identifier": name if _ID.fullmatch(name) else "unidentified", "code": code}
    answer: Resource = {"resourceType": "MessageHeader", "id": _made(f"answer {name} {now.isoformat()}")}
    if failures:
        issues = []
        for number, error in failures:
            issue = outcomes.of_error(error, language="zh")["issue"][0]
            issue["expression"] = [f"Bundle.entry[1].resource.entry[{number}]"]
            issue["details"]["coding"].append({"system": "urn:ietf:rfc:9110", "code": str(error.status)})
            issues.append(issue)
        answer["contained"] = [{"resourceType": "OperationOutcome", "id": "outcome", "issue": issues}]
        response["details"] = {"reference": "#outcome"}
    answer |= {
        "eventUri": ANSWER,
        "source": {"name": "yimatong", "endpoint": base},
        "response": response,
        "definition": f"{PMIR}/StructureDefintion/IHE.PMIR.MessageDefinition.Response",
    }
    return _message(_made(f"message {name} {now.isoformat()}"), [answer], now=now)


def _message(name: str, resources: list[Resource], *, now: datetime) -> Resource:
    return {
        "resourceType": "Bundle",
        "id": name,
        "type": "message",
        "timestamp": now.isoformat(timespec="milliseconds"),
        "entry": [{"fullUrl": f"urn:uuid:{each['id']}", "resource": each} for each in resources],
    }


def _made(text: str) -> str:
    """Return a UUID that is the same for the same text: a message that is sent again is the same message."""
    return str(uuid5(_NAMES, text))


def feed_message(patient: Resource, *, event: str, message_id: int, endpoint: str, base: str, at: datetime) -> Resource:
    """Return the message that tells a subscriber of a change of a person (profile IHE.PMIR.Bundle)."""
    created = event == "registered"
    url = f"Patient/{patient['id']}"
    history: Resource = {
        "resourceType": "Bundle",
        "id": _made(f"history {message_id}"),
        "meta": {"profile": [f"{PMIR}/StructureDefinition/IHE.PMIR.Bundle.History"]},
        "type": "history",
        "entry": [
            {
                "fullUrl": f"{base}/{url}",
                "resource": patient,
                "request": {"method": METHODS[event], "url": "Patient" if created else url},
                "response": {"status": "201" if created else "200", "lastModified": at.isoformat()},
            }
        ],
    }
    header: Resource = {
        "resourceType": "MessageHeader",
        "id": _made(f"header {message_id}"),
        "meta": {"profile": [f"{PMIR}/StructureDefinition/IHE.PMIR.MessageHeader"]},
        "eventUri": FEED,
        "destination": [{"endpoint": endpoint}],
        "source": {"name": "yimatong", "endpoint": base},
        "focus": [{"reference": f"urn:uuid:{history['id']}"}],
        "definition": f"{PMIR}/StructureDefintion/IHE.PMIR.MessageDefinition",
    }
    made = _message(_made(f"feed {message_id}"), [header, history], now=at)
    made["meta"] = {"profile": [f"{PMIR}/StructureDefinition/IHE.PMIR.Bundle"]}
    return made
