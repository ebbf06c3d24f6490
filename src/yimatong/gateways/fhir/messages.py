"""Mobile Patient Identity Feed (PMIR, ITI-93): messages taken.

Each entry of the history is an event of its own. What was taken before another entry failed stays; sending the message
again does the rest, for the same record again is the same record.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.gateways.errors import ElementMissing, ElementRefused, FeedDomainUnknown, MessageRefused
from yimatong.gateways.fhir import feeding, outcomes, reading
from yimatong.gateways.fhir.bundles import FEED, made_id, message_bundle
from yimatong.gateways.fhir.capability import PMIR
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index, Known
from yimatong.kit.errors import PlatformError, Unavailable

ANSWER: Final = "urn:ihe:iti:pmir:2019:patient-feed-response"
_ENTRIES_MAX: Final = 500
_REF: Final = re.compile(r"Patient/([0-9a-f]{32})(?:/_history/.*)?", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


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
    answer: Resource = {"resourceType": "MessageHeader", "id": made_id(f"answer {name} {now.isoformat()}")}
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
    return message_bundle(made_id(f"message {name} {now.isoformat()}"), [answer], now=now)
