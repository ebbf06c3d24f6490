"""Message bundles of the Mobile Patient Identity Feed (PMIR, ITI-93) as they are sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from yimatong.gateways.fhir.capability import PMIR
from yimatong.gateways.fhir.values import Resource

FEED: Final = "urn:ihe:iti:pmir:2019:patient-feed"
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


def message_bundle(name: str, resources: list[Resource], *, now: datetime) -> Resource:
    """Return a message of resources, the header first (R4 2.24)."""
    return {
        "resourceType": "Bundle",
        "id": name,
        "type": "message",
        "timestamp": now.isoformat(timespec="milliseconds"),
        "entry": [{"fullUrl": f"urn:uuid:{each['id']}", "resource": each} for each in resources],
    }


def made_id(text: str) -> str:
    """Return a UUID that is the same for the same text: a message that is sent again is the same message."""
    return str(uuid5(_NAMES, text))


def feed_message(patient: Resource, *, event: str, message_id: int, endpoint: str, base: str, at: datetime) -> Resource:
    """Return the message that tells a subscriber of a change of a person (profile IHE.PMIR.Bundle)."""
    created = event == "registered"
    url = f"Patient/{patient['id']}"
    history: Resource = {
        "resourceType": "Bundle",
        "id": made_id(f"history {message_id}"),
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
        "id": made_id(f"header {message_id}"),
        "meta": {"profile": [f"{PMIR}/StructureDefinition/IHE.PMIR.MessageHeader"]},
        "eventUri": FEED,
        "destination": [{"endpoint": endpoint}],
        "source": {"name": "yimatong", "endpoint": base},
        "focus": [{"reference": f"urn:uuid:{history['id']}"}],
        "definition": f"{PMIR}/StructureDefintion/IHE.PMIR.MessageDefinition",
    }
    made = message_bundle(made_id(f"feed {message_id}"), [header, history], now=at)
    made["meta"] = {"profile": [f"{PMIR}/StructureDefinition/IHE.PMIR.Bundle"]}
    return made
