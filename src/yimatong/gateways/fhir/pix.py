"""Get Corresponding Identifiers (PIXm, ITI-83): ``$ihe-pix``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from yimatong.empi.errors import DomainNotYours, DomainSuspended, DomainUnknown, NumberUnknown, PersonNotFound
from yimatong.empi.identifiers.schemas import Resolved, SourceNumber
from yimatong.gateways.errors import (
    ParameterInvalid,
    SourceDomainUnknown,
    SourceIdentifierUnknown,
    TargetSystemUnknown,
)
from yimatong.gateways.fhir import patients, reading
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index

_PATIENT: Final = "Patient/"
_TARGETS_MAX: Final = 20


class PixQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A source identifier and the systems whose identifiers are wanted, empty for all."""

    system: str
    value: str
    targets: tuple[str, ...]


def from_parameters(given: Sequence[tuple[str, str]]) -> PixQuery:
    """Return the query of a GET.

    Raises:
        ParameterInvalid: not exactly one source identifier of the form ``system|value``.
    """
    sources = [value for key, value in given if key == "sourceIdentifier"]
    targets = [part for key, value in given if key == "targetSystem" for part in value.split(",") if part]
    if len(sources) != 1:
        raise ParameterInvalid(parameter="sourceIdentifier", reason="exactly one")
    system, bar, value = sources[0].partition("|")
    return _query(system if bar else "", value, targets)


def from_resource(given: Resource) -> PixQuery:
    """Return the query of a POST: a Parameters resource (profile IHE.PIXm.Query.Parameters.In).

    Raises:
        ParameterInvalid: as ``from_parameters``, or another resource.
    """
    if given["resourceType"] != "Parameters":
        raise ParameterInvalid(parameter="body", reason="a Parameters resource")
    found: list[dict[str, Any]] = given.get("parameter", [])
    sources = [each for each in found if each.get("name") == "sourceIdentifier"]
    if len(sources) != 1:
        raise ParameterInvalid(parameter="sourceIdentifier", reason="exactly one")
    source = sources[0]
    system, _, value = str(source.get("valueString", "")).partition("|")
    if "valueIdentifier" in source:
        system, value = source["valueIdentifier"].get("system", ""), source["valueIdentifier"].get("value", "")
    targets = [
        each.get("valueUri", each.get("valueString", "")) for each in found if each.get("name") == "targetSystem"
    ]
    return _query(system, value, targets)


def _query(system: str, value: str, targets: Sequence[str]) -> PixQuery:
    if not system or not value:
        raise ParameterInvalid(parameter="sourceIdentifier", reason="system|value")
    if len(targets) > _TARGETS_MAX:
        raise ParameterInvalid(parameter="targetSystem", reason=f"at most {_TARGETS_MAX}")
    return PixQuery(system=system.strip(), value=value.strip(), targets=tuple(each.strip() for each in targets))


async def resolve(index: Index, asker: Asker, wanted: PixQuery, *, base: str) -> Resource:
    """Return the Parameters resource of the answer (2:3.83.4.2.2.1).

    Numbers that the caller sees masked are left out: an identifier without its value serves nobody.

    Raises:
        SourceDomainUnknown, TargetSystemUnknown, SourceIdentifierUnknown: as the transaction says.
    """
    asker.caller.require("cross-indexes:read")
    own = wanted.system.rstrip("/") == base
    source = None if own else await index.domain(asker, wanted.system)
    if source is None and not own:
        raise SourceDomainUnknown
    targets = []
    for system in wanted.targets:
        if system.rstrip("/") != base:
            domain = await index.domain(asker, system)
            if domain is None:
                raise TargetSystemUnknown
            targets.append(domain.code)
    only_ids = bool(wanted.targets) and not targets
    try:
        if source is None:
            found = await index.numbers(asker, wanted.value.removeprefix(_PATIENT), targets)
        else:
            number = reading.number(source.code, wanted.value)
            found = await index.resolve(asker, number, targets)
    except (NumberUnknown, PersonNotFound) as error:
        raise SourceIdentifierUnknown from error
    except DomainSuspended as error:
        suspended = error.facts.get("domain")
        raise (SourceDomainUnknown if source and suspended == source.code else TargetSystemUnknown) from error
    except (DomainUnknown, DomainNotYours) as error:
        raise SourceDomainUnknown from error
    return await _answer(index, asker, found, base=base, numbers=not only_ids, asked_by_id=own)


async def _answer(
    index: Index, asker: Asker, found: Resolved, *, base: str, numbers: bool, asked_by_id: bool
) -> Resource:
    systems = await index.systems(asker, (each.domain for each in found.identifiers))
    listed: list[Resource] = []
    for each in found.identifiers if numbers else ():
        if not each.masked:
            number = SourceNumber(domain=each.domain, number=each.number)
            listed.append({"name": "targetIdentifier", "valueIdentifier": patients.identifier(number, systems)})
    if not asked_by_id:
        listed.append({"name": "targetId", "valueReference": {"reference": f"{base}/Patient/{found.mpi_ref}"}})
    made: Resource = {"resourceType": "Parameters"}
    if listed:
        made["parameter"] = listed
    return made
