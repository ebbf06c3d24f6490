"""Patient Identity Feed FHIR (PIXm, ITI-104): a provider's own records, added, revised, merged and removed.

The record is known by the identifier in the address, of a domain that is the provider's own. The Patient that is
answered is the person of the index, whose id is another one than any that the provider gave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.registration.schemas import PersonToRegister
from yimatong.gateways.errors import (
    ElementMissing,
    ElementRefused,
    FeedDomainUnknown,
    ParameterInvalid,
    VersionConflict,
)
from yimatong.gateways.fhir import finding, outcomes, reading
from yimatong.gateways.fhir.negotiation import Wish
from yimatong.gateways.fhir.reading import Said
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index, Known

_TAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"', re.ASCII)
_REF: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CONTROLS: Final = ("_format", "_pretty", "_summary")


class Fed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a record: whose it is, the version of her record, and what to tell the provider."""

    mpi_ref: str
    version: int
    created: bool
    told: str


async def condition(index: Index, asker: Asker, given: Sequence[tuple[str, str]]) -> SourceNumber:
    """Return the identifier that a conditional update or delete names.

    Raises:
        ParameterInvalid: not exactly ``identifier=system|value``. FeedDomainUnknown: no such domain.
    """
    named = [(key, value) for key, value in given if key not in _CONTROLS]
    if len(named) != 1 or named[0][0] != "identifier":
        raise ParameterInvalid(parameter="identifier", reason="exactly one identifier=system|value")
    return await _number(index, asker, named[0][1])


async def _number(index: Index, asker: Asker, token: str) -> SourceNumber:
    system, bar, value = token.partition("|")
    if not bar or not system or not value.strip():
        raise ParameterInvalid(parameter="identifier", reason="system|value")
    domain = await index.domain(asker, system)
    if domain is None:
        raise FeedDomainUnknown
    return reading.number(domain.code, value)


async def feed(
    index: Index, asker: Asker, source: SourceNumber, resource: Resource, *, if_match: str = "", base: str
) -> Fed:
    """Add, revise or merge the record of ``source``.

    Raises:
        ElementRefused, ElementMissing, ExtensionNotUnderstood: see ``reading.said``. VersionConflict: If-Match.
        Refusals of ``Index.register``, ``Index.merge`` and ``Index.cancel``.
    """
    if resource["resourceType"] != "Patient":
        raise ElementRefused(path="resourceType", reason="Patient")
    said = reading.said(resource, await index.systems(asker)) if _tells(resource) else None
    link = reading.replaced_by(resource)
    if if_match:
        known = await index.version(asker, source)
        require_version(if_match, known)
    if link:
        other = await survivor(index, asker, link, base=base)
        done = await index.merge(asker, retired=source, surviving=other)
        return Fed(mpi_ref=done.mpi_ref, version=done.version, created=False, told="waits" if done.waits else "merged")
    if said is None:
        raise ElementMissing(path="Patient.name")
    return await record(index, asker, source, said)


def _tells(resource: Resource) -> bool:
    """Say whether a Patient tells anything of a resident: one that was merged may be its link alone."""
    return bool(resource.get("name")) or not resource.get("link")


async def record(index: Index, asker: Asker, source: SourceNumber, said: Said) -> Fed:
    """Register what a Patient says under a source number; report her death where it says so."""
    if not said.active:
        raise ElementRefused(path="Patient.active", reason="false without link; DELETE removes a record")
    others = [each for each in said.numbers if each.domain == source.domain and each.number != source.number]
    if others:
        raise ElementRefused(path="Patient.identifier", reason="another number of the record's own domain")
    done = await index.register(
        asker,
        PersonToRegister(
            source=source,
            resident=said.resident,
            identifiers=tuple(each for each in said.numbers if each != source)[:20],
        ),
    )
    if said.died_on is not None:
        await index.cancel(asker, done.mpi_ref, reason="death", died_on=said.died_on)
    return Fed(mpi_ref=done.mpi_ref, version=done.version, created=done.outcome != "updated", told=done.outcome)


async def remove(index: Index, asker: Asker, source: SourceNumber) -> None:
    """Remove a record's identifier: it stands for nobody from now on.

    Raises:
        NumberUnknown: nobody has it. DomainNotYours.
    """
    await index.remove(asker, source)


async def survivor(index: Index, asker: Asker, link: Resource, *, base: str) -> Known:
    """Return who the ``other`` of a link is: by identifier, by our own reference, or by a conditional reference."""
    identifier: dict[str, Any] = link.get("identifier", {})
    if identifier.get("system") and identifier.get("value"):
        return await _number(index, asker, f"{identifier['system']}|{identifier['value']}")
    reference = str(link.get("reference", "")).removeprefix(f"{base}/")
    kind, _, query = reference.partition("?identifier=")
    if kind == "Patient" and query:
        return await _number(index, asker, query)
    ref = reference.removeprefix("Patient/").partition("/_history")[0]
    if _REF.fullmatch(ref):
        return ref
    raise ElementRefused(path="Patient.link.other", reason="an identifier with its system, or Patient/[id]")


def require_version(if_match: str, version: int | None) -> None:
    """Refuse a change of another version than the one that is there.

    Raises:
        VersionConflict: it is another one. ParameterInvalid: no entity tag of ours.
    """
    if not if_match or if_match.strip() == "*":
        return
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        raise ParameterInvalid(parameter="If-Match", reason='W/"version"')
    if version is None or int(found[1]) != version:
        raise VersionConflict


_TOLD: Final = {
    "created": "a new person",
    "linked": "the record of a person whom the index knew",
    "review": "a new person for now; a data steward judges whether she is a known one",
    "updated": "the record was known and is updated",
    "waits": "nothing is merged yet; a data steward judges whether the two are one person",
    "merged": "the record was merged into the one that replaces it",
}


async def returned(index: Index, asker: Asker, done: Fed, wish: Wish, *, base: str) -> Resource | None:
    """Return what a write is answered with, as ``Prefer: return`` asks."""
    if wish.returning == "minimal":
        return None
    if done.told == "waits" or wish.returning == "OperationOutcome" or "persons:read" not in asker.caller.permissions:
        return outcomes.told("information", "informational", f"{done.told}: {_TOLD[done.told]}")
    found, _ = await finding.read(index, asker, done.mpi_ref, base=base)
    return found
