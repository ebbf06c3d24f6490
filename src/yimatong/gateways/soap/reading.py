"""HL7 v3 messages of the person index, read (WS/T 448-2014, WS/T 846-2024; HL7 v3 PRPA). Pure.

Read by local names, because systems in the field differ in their namespaces; the data types of ITS 2 (``id/item``,
``name/item/part``) and those of ITS 1 (``id`` itself, ``name/family``, ``name/given``, plain text) are both understood.
Entities, external documents and huge trees are refused by the parser.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

import msgspec
from lxml import etree  # type: ignore[import-untyped]  # the library has no types

from yimatong.empi.registration.schemas import Stated
from yimatong.gateways.errors import V3FieldMissing, V3FieldUnreadable, V3MessageUnreadable
from yimatong.standards.codes import ID_CARD

ID_CARD_ROOT: Final = "2.16.156.10011.1.3"
"""居民身份证号 (OID of the national health information standards)."""

HEALTH_CARD_ROOT: Final = "2.16.156.10011.1.19"
"""居民健康卡号."""

MESSAGE_CHARACTERS_MAX: Final = 512 * 1024
_PARSER: Final = {"resolve_entities": False, "no_network": True, "huge_tree": False, "remove_comments": True}
_SEXES: Final = {"1": "1", "2": "2", "0": "0", "9": "9", "M": "1", "F": "2", "UN": "9"}
_NUMBER_MAX, _NAME_MAX, _TEXT_MAX = 64, 100, 200
Element = Any
"""An element of lxml."""


class InstanceId(msgspec.Struct, frozen=True):
    """An instance identifier (data type II): the domain by its OID, and the number in it."""

    root: str
    extension: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer needs of a message: its name, its id, who sent it, to whom."""

    interaction: str
    id: InstanceId
    sender: InstanceId
    receiver: InstanceId


class V3Patient(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of a patient: the sender's own number first, further numbers, the facts."""

    numbers: tuple[InstanceId, ...]
    stated: Stated
    replaces: tuple[InstanceId, ...] = ()


class V3Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a query by PRPA_IN201305UV02 asks for."""

    query_id: InstanceId
    numbers: tuple[InstanceId, ...]
    name: str
    sex: str
    birth_date: date | None
    limit: int


def parsed(message: str) -> Element:
    """Return the root of a message.

    Raises:
        V3MessageUnreadable: too large, not well-formed, or with a document type.
    """
    if len(message) > MESSAGE_CHARACTERS_MAX:
        raise V3MessageUnreadable
    try:
        root = etree.fromstring(message.strip().encode(), etree.XMLParser(**_PARSER))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise V3MessageUnreadable(audit=str(error)[:200]) from error
    if root.getroottree().docinfo.doctype:
        raise V3MessageUnreadable
    return root


def envelope(root: Element) -> Envelope:
    """Read the transmission wrapper; the interaction is the root's name, as the standard has it."""
    return Envelope(
        interaction=_local(root),
        id=_first_id(root),
        sender=_first_id(_down(root, "sender", "device")),
        receiver=_first_id(_down(root, "receiver", "device")),
    )


def patient(root: Element) -> V3Patient:
    """Read the patient of a registration, a revision or a merge.

    Raises:
        V3FieldMissing: there is no patient, no number of the sender, or no name. V3FieldUnreadable: a date, a code, or
            something longer than it may be.
    """
    found = _anywhere(root, "patient")
    if found is None:
        raise V3FieldMissing(field="patient")
    person = _down(found, "patientPerson")
    if person is None:
        raise V3FieldMissing(field="patient/patientPerson")
    own = ids(found)
    if not own:
        raise V3FieldMissing(field="patient/id")
    further = [each for each in ids(person) if each.root != ID_CARD_ROOT]
    for others in _children(person, "asOtherIDs"):
        further.extend(ids(others))
    cards = [each for each in (*ids(person), *further, *own[1:]) if each.root == ID_CARD_ROOT]
    numbers = tuple(dict.fromkeys(each for each in (*own, *further) if each.root != ID_CARD_ROOT))
    replaced = _anywhere(root, "replacementOf")
    prior = None if replaced is None else _anywhere(replaced, "priorRegistration")
    return V3Patient(
        numbers=numbers, stated=_stated(person, cards), replaces=() if prior is None else tuple(_prior_ids(prior))
    )


def query(root: Element) -> V3Query:
    """Read the parameters of a query for candidates.

    Raises:
        V3FieldMissing: it has no parameters. V3FieldUnreadable: one of them.
    """
    asked = _anywhere(root, "queryByParameter")
    if asked is None:
        raise V3FieldMissing(field="queryByParameter")
    parameters = _down(asked, "parameterList")
    if parameters is None:
        raise V3FieldMissing(field="queryByParameter/parameterList")
    query_ids = [each for each in (_instance(child) for child in _children(asked, "queryId")) if each is not None]
    quantity = _value(_down(asked, "initialQuantity"))[:6]
    return V3Query(
        query_id=query_ids[0] if query_ids else InstanceId("", ""),
        numbers=tuple(_parameter_ids(parameters)),
        name=_bounded(
            _name(_parameter(parameters, "livingSubjectName", "patientName")), _NAME_MAX, "livingSubjectName"
        ),
        sex=_sex(_parameter(parameters, "livingSubjectAdministrativeGender", "administrativeGender")),
        birth_date=_day(
            _value(_parameter(parameters, "livingSubjectBirthTime", "birthTime")), "livingSubjectBirthTime"
        ),
        limit=min(int(quantity), 100) if quantity.isascii() and quantity.isdigit() and int(quantity) else 20,
    )


def ids(element: Element | None) -> list[InstanceId]:
    """Return the identifiers (``id``) of an element, in order: ``<id root extension/>`` or ``<id><item .../></id>``.

    Raises:
        V3FieldUnreadable: a number is longer than 64 characters.
    """
    found = []
    for own in _children(element, "id"):
        for each in [own, *_children(own, "item")]:
            instance = _instance(each)
            if instance is not None and instance.extension:
                found.append(instance)
    return found


def _instance(element: Element) -> InstanceId | None:
    root, extension = element.get("root", "").strip(), element.get("extension", "").strip()
    if len(extension) > _NUMBER_MAX or len(root) > _NUMBER_MAX:
        raise V3FieldUnreadable(field="id")
    return InstanceId(root, extension) if root or extension else None


def _first_id(element: Element | None) -> InstanceId:
    if element is None:
        return InstanceId("", "")
    found = [_instance(each) for own in _children(element, "id") for each in (own, *_children(own, "item"))]
    return next((each for each in found if each is not None), InstanceId("", ""))


def _prior_ids(prior: Element) -> list[InstanceId]:
    found = []
    for holder in prior.iter():
        if isinstance(holder.tag, str) and _local(holder) in ("priorRegisteredRole", "subject1", "priorRegistration"):
            found.extend(ids(holder))
    return list(dict.fromkeys(found))


def _parameter_ids(parameters: Element) -> list[InstanceId]:
    found: list[InstanceId] = []
    for name in ("livingSubjectId", "patientId"):
        for holder in _children(parameters, name):
            for value in _children(holder, "value"):
                found.extend(each for each in map(_instance, [value, *_children(value, "item")]) if each is not None)
    return [each for each in found if each.extension]


def _parameter(parameters: Element, *names: str) -> Element | None:
    for name in names:
        for holder in _children(parameters, name):
            return next(iter(_children(holder, "value")), holder)
    return None


def _stated(person: Element, cards: list[InstanceId]) -> Stated:
    name = _bounded(_name(_down(person, "name")), _NAME_MAX, "patientPerson/name")
    if not name:
        raise V3FieldMissing(field="patientPerson/name")
    number = cards[0].extension.upper() if cards else ""
    return Stated(
        name=name,
        sex=_sex(_down(person, "administrativeGenderCode")),
        birth_date=_day(_value(_down(person, "birthTime")), "patientPerson/birthTime"),
        id_type=ID_CARD if number else "",
        id_number=number[:40],
        phone=_phone(person),
        address=_bounded(_address(_down(person, "addr")), _TEXT_MAX, "patientPerson/addr"),
        marital=_two_digits(_down(person, "maritalStatusCode")),
        nation=_two_digits(_item(_down(person, "ethnicGroupCode"))),
        occupation=_bounded(_display(_down(person, "occupationCode")), 50, "occupationCode"),
    )


def _name(element: Element | None) -> str:
    """Return a name: the parts in their order, else the text; a blank between parts that are not Chinese."""
    if element is None:
        return ""
    parts = [
        (part.get("value") or "".join(part.itertext())).strip()
        for part in element.iter()
        if isinstance(part.tag, str) and _local(part) in ("part", "family", "given")
    ]
    kept = [part for part in parts if part]
    if not kept:
        return (element.get("value") or "".join(element.itertext())).strip()
    whole = "".join(kept)
    return " ".join(kept) if whole.isascii() else whole


def _phone(person: Element) -> str:
    for telecom in _children(person, "telecom"):
        for each in (telecom, *_children(telecom, "item")):
            value = each.get("value", "").removeprefix("tel:")
            digits = "".join(mark for mark in value if mark.isdigit() or mark == "+")
            if digits:
                return digits[:30]
    return ""


def _address(element: Element | None) -> str:
    if element is None:
        return ""
    parts = [
        (part.get("value") or part.text or "").strip()
        for part in element.iter()
        if isinstance(part.tag, str) and part is not element
    ]
    return "".join(part for part in parts if part) or (element.text or "").strip()


def _sex(element: Element | None) -> str:
    code = "" if element is None else (element.get("code") or "").strip().upper()
    if code and code not in _SEXES:
        raise V3FieldUnreadable(field="administrativeGenderCode")
    return _SEXES.get(code, "0")


def _day(written: str, field: str) -> date | None:
    if not written:
        return None
    digits = written.replace("-", "")
    padded = {4: digits[:4] + "0101", 6: digits[:6] + "01"}.get(len(digits), digits[:8])
    try:
        return datetime.strptime(padded, "%Y%m%d").date()  # noqa: DTZ007 -- a day has no zone
    except ValueError as error:
        raise V3FieldUnreadable(field=field) from error


def _two_digits(element: Element | None) -> str:
    code = "" if element is None else (element.get("code") or "").strip()
    return code if len(code) == 2 and code.isascii() and code.isdigit() else ""  # noqa: PLR2004 -- GB/T 2261.2, 3304


def _display(element: Element | None) -> str:
    if element is None:
        return ""
    shown = _down(element, "displayName")
    return (element.get("displayName") or _value(shown) or "").strip()


def _item(element: Element | None) -> Element | None:
    return None if element is None else next(iter(_children(element, "item")), element)


def _value(element: Element | None) -> str:
    return "" if element is None else (element.get("value") or element.text or "").strip()


def _bounded(text: str, most: int, field: str) -> str:
    flat = " ".join(text.split())
    if len(flat) > most:
        raise V3FieldUnreadable(field=field)
    return flat


def _local(element: Element) -> str:
    return str(etree.QName(element).localname)


def _children(element: Element | None, name: str) -> list[Element]:
    if element is None:
        return []
    return [each for each in element if isinstance(each.tag, str) and _local(each) == name]


def _down(element: Element, *names: str) -> Element | None:
    found: Element | None = element
    for name in names:
        found = next(iter(_children(found, name)), None)
    return found


def _anywhere(element: Element, name: str) -> Element | None:
    return next((each for each in element.iter() if isinstance(each.tag, str) and _local(each) == name), None)
