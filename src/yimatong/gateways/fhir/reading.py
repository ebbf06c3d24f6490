"""A FHIR Patient as what a provider says of a resident. Pure.

Everything of the PIXm Patient profile is accepted; what the index does not keep (photo, contacts, language) is left
unread. A modifier extension could change the meaning of what is read, so one that is not known is refused (R4 2.4.3);
none is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.registration.schemas import Stated
from yimatong.gateways.errors import ElementMissing, ElementRefused, ExtensionNotUnderstood
from yimatong.gateways.fhir.patients import MARITAL, MARITAL_CODES, MOTHER, NATION, NATION_CODES, REPRESENTATION
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.systems import Systems
from yimatong.standards import codes, surnames

_SEXES: Final[Mapping[str, str]] = {"male": "1", "female": "2", "other": "9", "unknown": "0"}
_MARITAL_IN: Final[Mapping[str, str]] = {"S": "10", "M": "20", "W": "30", "D": "40", "L": "20", "T": "20", "U": "10"}
_USES: Final = ("official", "usual", "", "nickname", "anonymous", "maiden", "temp", "old")
_PHONES: Final = ("mobile", "home", "", "work", "temp", "old")
_CJK: Final = re.compile("[\u3400-\u9fff]")


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a Patient says. ``numbers`` are its identifiers of known domains, by the Patient's own order.

    ``died_on`` is None when nobody died.
    """

    resident: Stated
    numbers: tuple[SourceNumber, ...]
    active: bool
    died_on: date | None


def said(patient: Resource, systems: Systems, *, path: str = "Patient") -> Said:
    """Return what a checked Patient says of a resident.

    Raises:
        ElementMissing, ElementRefused: no name, or a value that the index does not know. ExtensionNotUnderstood.
    """
    require_understood(patient, path=path)
    numbers = tuple(_numbers(patient, systems))
    certificate = next((n for n in numbers if n.domain == "certificate:01"), None) or next(
        (n for n in numbers if _certificate_type(n, systems)), None
    )
    born, estimated = _birth_date(patient, path)
    resident = Stated(
        name=_limited(_name(patient, path), 100, f"{path}.name"),
        sex=_sex(patient, path),
        birth_date=born,
        birth_date_estimated=estimated,
        id_type=_certificate_type(certificate, systems) if certificate else "",
        id_number=_limited(certificate.number, 40, f"{path}.identifier") if certificate else "",
        phone=_limited(_phone(patient), 30, f"{path}.telecom"),
        address=_limited(_address(patient), 200, f"{path}.address"),
        nation=_nation(patient),
        marital=_marital(patient),
        mother_name=_limited(_mother(patient), 100, f"{path}.extension"),
    )
    return Said(
        resident=resident,
        numbers=tuple(n for n in numbers if n is not certificate),
        active=patient.get("active", True) is not False,
        died_on=_died_on(patient),
    )


def require_understood(resource: Resource, *, path: str) -> None:
    """Refuse modifier extensions anywhere in a resource, and implicit rules.

    Raises:
        ExtensionNotUnderstood: with the path of the element.
    """
    if "implicitRules" in resource:
        raise ExtensionNotUnderstood(path=f"{path}.implicitRules")
    for name, value in resource.items():
        if name == "modifierExtension":
            raise ExtensionNotUnderstood(path=f"{path}.{name}")
        listed = value if isinstance(value, list) else [value]
        for each in listed:
            if isinstance(each, dict) and name != "contained":
                require_understood(each, path=f"{path}.{name}")


def _limited(text: str, most: int, path: str) -> str:
    """Return a text of one line that is not too long; line ends inside become blanks."""
    plain = " ".join(text.split())
    if len(plain) > most:
        raise ElementRefused(path=path, reason=f"longer than {most}")
    if not plain.isprintable():
        raise ElementRefused(path=path, reason="control characters")
    return plain


def _numbers(patient: Resource, systems: Systems) -> Iterator[SourceNumber]:
    """Yield the identifiers whose domain is known and whose value is there; no domain twice with one number."""
    seen = set()
    for each in patient.get("identifier", ()):
        domain = systems.by_system(each.get("system", ""))
        value = each.get("value", "").strip()
        if domain is None or not value or each.get("use") == "old" or (domain.code, value) in seen:
            continue
        seen.add((domain.code, value))
        yield number(domain.code, value)


def number(code: str, value: str) -> SourceNumber:
    """Return a number of a domain.

    Raises:
        ElementRefused: longer than any number is.
    """
    text = value.strip()
    if not 0 < len(text) <= 64 or not text.isprintable():  # noqa: PLR2004 -- see ``SourceNumber``
        raise ElementRefused(path="identifier.value", reason="1 to 64 printable characters")
    return SourceNumber(domain=code, number=text)


def _certificate_type(found: SourceNumber, systems: Systems) -> str:
    domain = systems.by_code(found.domain)
    return (domain.id_type or "") if domain is not None and domain.kind == "certificate" else ""


def _name(patient: Resource, path: str) -> str:
    """Return the name that identifies: official before usual, in characters before pinyin."""
    listed = [each for each in patient.get("name", ()) if _text_of(each)]
    if not listed:
        raise ElementMissing(path=f"{path}.name")

    def rank(each: dict[str, Any]) -> tuple[int, int]:
        spelled = any(e.get("url") == REPRESENTATION and e.get("valueCode") != "IDE" for e in each.get("extension", ()))
        use = each.get("use", "")
        return (1 if spelled else 0, _USES.index(use) if use in _USES else len(_USES))

    return _text_of(min(listed, key=rank))


def _text_of(name: dict[str, Any]) -> str:
    """Return a name as one text. Of a Latin name the parts count, for they say which is the family name."""
    family, given = name.get("family", "").strip(), tuple(part.strip() for part in name.get("given", ()) if part)
    text = str(name.get("text", "")).strip()
    if text and (_CJK.search(text) or not (family or given)):
        return text
    return surnames.joined(family, given) or text


def _birth_date(patient: Resource, path: str) -> tuple[date | None, bool]:
    """Return the birth date, and whether it is a guess: FHIR may know the year or the month only."""
    text = patient.get("birthDate", "")
    if not text:
        return None, False
    year, month, day = (*map(int, text.split("-")), 0, 0)[:3]
    try:
        return date(year, month or 1, day or 1), not day
    except ValueError as error:
        raise ElementRefused(path=f"{path}.birthDate", reason="no such day") from error


def _sex(patient: Resource, path: str) -> str:
    gender = patient.get("gender", "unknown")
    if gender not in _SEXES:
        raise ElementRefused(path=f"{path}.gender", reason="male, female, other, unknown")
    return _SEXES[gender]


def _phone(patient: Resource) -> str:
    def rank(each: dict[str, Any]) -> tuple[int, int]:
        use = each.get("use", "")
        return (_PHONES.index(use) if use in _PHONES else len(_PHONES), each.get("rank", 99))

    listed = [
        each
        for each in patient.get("telecom", ())
        if each.get("system", "phone") in ("phone", "sms") and "value" in each
    ]
    return str(min(listed, key=rank)["value"]) if listed else ""


def _address(patient: Resource) -> str:
    """Return the address as one text, from the region down to the door."""
    for each in sorted(patient.get("address", ()), key=lambda found: found.get("use") in ("old", "temp", "billing")):
        if "text" in each:
            return str(each["text"])
        parts = [each.get(name, "") for name in ("state", "city", "district")] + list(each.get("line", ()))
        parts = [part for part in parts if part]
        if parts:
            return ("" if _CJK.search("".join(parts)) else " ").join(parts)
    return ""


def _nation(patient: Resource) -> str:
    for each in patient.get("extension", ()):
        coding = each.get("valueCoding", {})
        if each.get("url") == NATION and coding.get("system", NATION_CODES) == NATION_CODES:
            return str(coding.get("code", "")) if coding.get("code", "") in codes.NATIONS else ""
    return ""


def _marital(patient: Resource) -> str:
    found = ""
    for coding in patient.get("maritalStatus", {}).get("coding", ()):
        code = coding.get("code", "")
        if coding.get("system") == MARITAL_CODES and code in MARITAL:
            return str(code)
        found = found or _MARITAL_IN.get(code, "")
    return found


def _mother(patient: Resource) -> str:
    listed = [each for each in patient.get("extension", ()) if each.get("url") == MOTHER]
    return str(listed[0].get("valueString", "")) if listed else ""


def _died_on(patient: Resource) -> date | None:
    text = patient.get("deceasedDateTime", "")[:10]
    try:
        return date.fromisoformat(text) if len(text) == len("2000-01-01") else None
    except ValueError as error:
        raise ElementRefused(path="Patient.deceasedDateTime", reason="no such day") from error


def replaced_by(patient: Resource, *, path: str = "Patient") -> Resource:
    """Return the Reference to who survived a retired record, empty for one that is not retired.

    Raises:
        ElementRefused: more than one. ElementMissing: a link to nobody.
    """
    links = [each for each in patient.get("link", ()) if each.get("type") == "replaced-by"]
    if len(links) > 1:
        raise ElementRefused(path=f"{path}.link", reason="more than one replaced-by")
    other = links[0].get("other", {}) if links else {}
    if links and not (other.get("reference") or other.get("identifier")):
        raise ElementMissing(path=f"{path}.link.other")
    return dict(other)
