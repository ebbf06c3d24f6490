"""Patient Demographics Match (PDQm, ITI-119): ``$match``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from yimatong.empi.search.schemas import MatchCandidate
from yimatong.gateways.errors import ElementMissing, ExtensionNotUnderstood, ParameterInvalid
from yimatong.gateways.fhir import patients, reading
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index

GRADE: Final = "http://hl7.org/fhir/StructureDefinition/match-grade"
COUNT: Final = 20
COUNT_MAX: Final = 100


class MatchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A Patient to find, and how many at most; ``certain``: only where one person is certain."""

    patient: Resource
    certain: bool = False
    count: int = COUNT


def wanted(given: Resource) -> MatchQuery:
    """Return the query of a body: a Parameters resource, or a Patient alone.

    Raises:
        ParameterInvalid: a parameter that is unknown, given twice, or of another type. ElementMissing: no Patient.
        ExtensionNotUnderstood: a modifier extension, in the Patient or around it.
    """
    if given["resourceType"] == "Patient":
        return MatchQuery(patient=given)
    if given["resourceType"] != "Parameters":
        raise ParameterInvalid(parameter="body", reason="Parameters or Patient")
    if "implicitRules" in given:
        raise ExtensionNotUnderstood(path="Parameters.implicitRules")
    found: dict[str, dict[str, Any]] = {}
    for each in given.get("parameter", ()):
        name = each.get("name", "")
        if "modifierExtension" in each:
            raise ExtensionNotUnderstood(path="Parameters.parameter.modifierExtension")
        if name not in ("resource", "onlyCertainMatches", "count") or name in found:
            raise ParameterInvalid(parameter="Parameters.parameter", reason="resource, onlyCertainMatches, count once")
        found[name] = each
    patient = found.get("resource", {}).get("resource", {})
    if patient.get("resourceType") != "Patient":
        raise ElementMissing(path="Parameters.parameter(resource).resource")
    certain = found.get("onlyCertainMatches", {"valueBoolean": False}).get("valueBoolean")
    count = found.get("count", {"valueInteger": COUNT})
    number = count.get("valueInteger", count.get("valueUnsignedInt", count.get("valuePositiveInt")))
    if not isinstance(certain, bool):
        raise ParameterInvalid(parameter="onlyCertainMatches", reason="valueBoolean")
    if not isinstance(number, int) or number < 1:
        raise ParameterInvalid(parameter="count", reason="valueInteger, 1 at least")
    return MatchQuery(patient=patient, certain=certain, count=min(number, COUNT_MAX))


async def match(index: Index, asker: Asker, query: MatchQuery, *, base: str) -> Resource:
    """Return the Bundle of who may be the Patient, most likely first.

    With ``onlyCertainMatches`` two certain persons are none: it cannot be told that they are one (cases 3 to 5).
    """
    said = reading.said(query.patient, await index.systems(asker))
    found = await index.match(asker, said.resident, said.numbers, limit=query.count, certain=query.certain)
    systems = await index.systems(asker, {n.domain for shown, _ in found for n in shown.hit.identifiers})
    entries = [
        {
            "fullUrl": f"{base}/Patient/{shown.hit.mpi_ref}",
            "resource": patients.patient(
                shown.hit, base=base, systems=systems, replaced_by=shown.replaced_by, version=shown.version
            ),
            "search": _search(candidate),
        }
        for shown, candidate in found
    ]
    made: Resource = {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": asker.now.isoformat(timespec="milliseconds"),
        "total": len(entries),
        "link": [{"relation": "self", "url": f"{base}/Patient/$match"}],
    }
    if entries:
        made["entry"] = entries
    return made


def _search(found: MatchCandidate) -> Resource:
    return {
        "extension": [{"url": GRADE, "valueCode": found.grade}],
        "mode": "match",
        "score": min(max(round(found.probability, 6), 0.0), 1.0),
    }
