"""A person as a FHIR Patient: conforming to the PDQm Patient profile (PDQm 3.1), from what a caller may see. Pure.

What is masked for the caller is never sent as if it were the value: the value is absent for the reason ``masked``, and
the mask to be shown to people stands in an extension beside it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.search.schemas import PersonHit
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.systems import Systems
from yimatong.standards import addresses, codes, pinyin, regions, surnames

ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
RENDERED: Final = "http://hl7.org/fhir/StructureDefinition/rendered-value"
REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
MOTHER: Final = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
MASK: Final = "urn:yimatong:fhir:mask"
"""Our extension beside a masked name, telephone number or address: the mask, for people to read."""

NATION: Final = "urn:yimatong:fhir:nation"
"""Our extension of a Patient: her nationality of China (民族), GB/T 3304."""

NATION_CODES: Final = "urn:oid:2.16.156.10011.2.3.3.3"
MARITAL_CODES: Final = "urn:oid:2.16.156.10011.2.3.3.5"
_IDENTIFIER_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_MARITAL_V3: Final = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
_NULL_V3: Final = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
URIS: Final = "urn:ietf:rfc:3986"

GENDERS: Final[Mapping[str, str]] = {"0": "unknown", "1": "male", "2": "female", "9": "unknown"}
"""GB/T 2261.1 as administrative gender."""

MARITAL: Final[Mapping[str, tuple[str, str]]] = {
    "10": (_MARITAL_V3, "S"),
    "20": (_MARITAL_V3, "M"),
    "21": (_MARITAL_V3, "M"),
    "22": (_MARITAL_V3, "M"),
    "23": (_MARITAL_V3, "M"),
    "30": (_MARITAL_V3, "W"),
    "40": (_MARITAL_V3, "D"),
    "90": (_NULL_V3, "UNK"),
}
"""GB/T 2261.2 in the codes that FHIR wants beside it."""

_TYPES: Final[Mapping[str, str]] = {
    "certificate:01": "NI",
    "certificate:03": "PPN",
    "certificate:04": "MI",
    "certificate:05": "DL",
    "certificate:08": "BCT",
    "certificate:09": "PRC",
    "card:01": "HC",
    "social-security-number": "SS",
}
_KINDS: Final[Mapping[str, str]] = {"visit_card": "MR", "source": "PI", "region": "PI", "national": "NI"}
_MOBILE: Final = re.compile(r"(\+?86)?1[0-9*]{10}")


def is_masked(text: str) -> bool:
    """Say whether a text that may be shown is a mask; no name, number or telephone number has a star in it."""
    return "*" in text


def patient(
    found: PersonHit,
    *,
    base: str,
    systems: Systems,
    domains: Collection[str] | None = None,
    replaced_by: str = "",
    version: int | None = None,
) -> Resource:
    """Return the Patient of a person found. ``base`` is that of the interface, without a trailing slash.

    ``domains``: codes of the only domains whose identifiers are wanted. ``replaced_by``: the reference of the survivor
    of a retired one.
    """
    made: Resource = {"resourceType": "Patient", "id": found.mpi_ref}
    if version is not None:
        made["meta"] = {"versionId": str(version)}
    extensions = _extensions(found)
    if extensions:
        made["extension"] = extensions
    made["identifier"] = _identifiers(found, systems, domains) or [
        {"system": URIS, "value": f"{base}/Patient/{found.mpi_ref}"}
    ]
    made["active"] = found.state == "live" and not replaced_by
    made["name"] = _names(found.name)
    if found.phone:
        made["telecom"] = [_telecom(found.phone)]
    made["gender"] = GENDERS.get(found.sex, "unknown")
    if found.birth_date is not None:
        made["birthDate"] = found.birth_date.isoformat()
    elif is_masked(found.name):
        made["_birthDate"] = {"extension": [{"url": ABSENT, "valueCode": "masked"}]}
    if found.deceased_on is not None:
        made["deceasedDateTime"] = found.deceased_on.isoformat()
    if found.address or found.region_code:
        made["address"] = [_address(found.address, found.region_code)]
    if found.marital in MARITAL:
        made["maritalStatus"] = _marital(found.marital)
    if replaced_by:
        made["link"] = [{"other": {"reference": f"Patient/{replaced_by}"}, "type": "replaced-by"}]
    return made


def _extensions(found: PersonHit) -> list[Resource]:
    made: list[Resource] = []
    mother = getattr(found, "mother_name", "")
    if mother and not is_masked(mother):
        made.append({"url": MOTHER, "valueString": mother})
    if found.nation in codes.NATIONS:
        term = codes.NATIONS[found.nation]
        coding = {"system": NATION_CODES, "code": found.nation, "display": term.zh}
        made.append({"url": NATION, "valueCoding": coding})
    return made


def _value(name: str, text: str, mask: str = MASK) -> dict[str, Any]:
    """Return an element with its value, or with the reason why it is absent and its mask."""
    if not is_masked(text):
        return {name: text}
    return {
        f"_{name}": {"extension": [{"url": ABSENT, "valueCode": "masked"}, {"url": mask, "valueString": text}]},
    }


def identifier(number: SourceNumber, systems: Systems) -> Resource:
    """Return an identifier of a person."""
    domain = systems.by_code(number.domain)
    kind = _TYPES.get(number.domain) or (_KINDS.get(domain.kind) if domain else None)
    made: Resource = {"use": "official" if number.domain.startswith("certificate:") else "usual"}
    if kind:
        made["type"] = {"coding": [{"system": _IDENTIFIER_TYPES, "code": kind}]}
    made["system"] = systems.system(number.domain)
    made |= _value("value", number.number, RENDERED)
    if domain is not None:
        made["assigner"] = {"display": domain.name_zh}
    return made


def _identifiers(found: PersonHit, systems: Systems, domains: Collection[str] | None) -> list[Resource]:
    listed = {each.domain: each for each in found.identifiers}
    own = systems.of_certificate(found.id_type) if found.id_number else None
    numbers = list(found.identifiers)
    if own is not None and own.code not in listed and found.id_type != codes.NO_CERTIFICATE:
        numbers.insert(0, SourceNumber(domain=own.code, number=found.id_number))
    return [identifier(each, systems) for each in numbers if domains is None or each.domain in domains]


def _names(name: str) -> list[Resource]:
    if not name:
        return [{"extension": [{"url": ABSENT, "valueCode": "unknown"}]}]
    if is_masked(name):
        return [{"use": "official", **_value("text", name)}]
    parts = surnames.split(name)
    made: Resource = {"use": "official", "text": name}
    if parts.family:
        made["family"] = parts.family
    if parts.given:
        made["given"] = list(parts.given)
    if name.isascii():
        return [made]
    said = _said(name, parts)
    return [{"extension": [_representation("IDE")], **made}, *([said] if said else [])]


def _said(name: str, parts: surnames.Parts) -> Resource | None:
    """Return the name in pinyin (GB/T 28039-2011), family name first; None for what is not spelled."""
    syllables = pinyin.syllables(name)
    size = len(parts.family)
    if not parts.family or not parts.given or len(syllables) != len(name) or not all(map(str.isascii, syllables)):
        return None
    family, given = ("".join(syllables[:size]).capitalize(), "".join(syllables[size:]).capitalize())
    return {
        "extension": [_representation("ABC")],
        "text": f"{family} {given}",
        "family": family,
        "given": [given],
    }


def _representation(code: str) -> Resource:
    return {"url": REPRESENTATION, "valueCode": code}


def _telecom(phone: str) -> Resource:
    use = "mobile" if _MOBILE.fullmatch(phone) else "home"
    return {"system": "phone", **_value("value", phone), "use": use}


def _address(text: str, region_code: str) -> Resource:
    """Return an address; its region by GB/T 2260 comes from the text, or is the one that the index knows."""
    made: Resource = {"use": "home"}
    if text:
        made |= _value("text", text)
    code = addresses.standardise(text.replace("*", "")).region or ("" if text else region_code)
    known = regions.divisions()
    for name, size in (("city", 4), ("district", 6), ("state", 2)):
        if len(code) >= size and code[:size] in known:
            made[name] = known[code[:size]]
    if code:
        made["country"] = "CN"
    return made


def _marital(code: str) -> Resource:
    system, v3 = MARITAL[code]
    term = codes.MARITAL[code]
    return {
        "coding": [
            {"system": system, "code": v3},
            {"system": MARITAL_CODES, "code": code, "display": term.zh},
        ],
        "text": term.zh,
    }
