"""Messages of the national index, read. Pure.

Answers are those of HL7 v3 (MCCI_IN000002UV01, PRPA_IN201312UV02 and kin); elements are found by their local names.
Entities, document types and huge trees are refused.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, Final, get_args

from yimatong.empi.errors import NationalAnswerUnreadable
from yimatong.empi.identifiers import catalogue
from yimatong.empi.national.schemas import Answer, Names, NationalPerson, Notice, NoticeKind, Page

Element = Any
MESSAGE_MAX: Final = 4 * 1024 * 1024
NOTICES_MAX: Final = 200
_PARSER: Final = {"resolve_entities": False, "no_network": True, "huge_tree": False, "remove_comments": True}
_ACCEPTED: Final = ("AA", "CA")
_REFUSED: Final = ("AE", "AR", "CE", "CR")
_REASON: Final = re.compile(r"[A-Za-z0-9_.:-]{1,40}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_REF: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TYPES: Final = {
    domain.oid: domain.id_type for domain in catalogue.STANDARD.values() if domain.kind == "certificate" and domain.oid
}


def payload(body: bytes) -> str:
    """Return the message inside a SOAP answer.

    Raises:
        NationalAnswerUnreadable: no SOAP answer of ``HIPMessageServer``, or a fault.
    """
    root = _parsed(body)
    if _local(root) != "Envelope" or _anywhere(root, "Fault") is not None:
        raise NationalAnswerUnreadable(detail="SOAP")
    found = _anywhere(root, "payload")
    if found is None or not (found.text or "").strip():
        raise NationalAnswerUnreadable(detail="payload")
    return str(found.text)


def answer(message: str, names: Names) -> Answer:
    """Read the acknowledgement of one of our messages.

    Raises:
        NationalAnswerUnreadable: it is none.
    """
    root = _parsed(message.encode())
    found = _anywhere(root, "acknowledgement")
    kind = "" if found is None else found.get("typeCode", "")
    if found is None or kind not in (*_ACCEPTED, *_REFUSED):
        raise NationalAnswerUnreadable(detail="acknowledgement")
    target = _ids(_down(found, "targetMessage"))
    if not target:
        raise NationalAnswerUnreadable(detail="targetMessage")
    patient = _anywhere(root, "patient")
    numbers = [each for own, each in _ids(patient) if own == names.national_root]
    code = _down(found, "acknowledgementDetail", "code")
    said = "" if code is None else code.get("code", "")
    accepted = kind in _ACCEPTED
    if accepted and not (numbers and _NUMBER.fullmatch(numbers[0])):
        raise NationalAnswerUnreadable(detail="patient/id")
    return Answer(
        message_id=target[0][1],
        accepted=accepted,
        national_id=numbers[0] if accepted else "",
        reason="" if accepted else said if _REASON.fullmatch(said) else "OTHER",
    )


def page(message: str, names: Names) -> Page:
    """Read a page of the mailbox.

    Raises:
        NationalAnswerUnreadable: it is none; nothing of it may be acknowledged.
    """
    root = _parsed(message.encode())
    if _local(root) != "nationalNotices":
        raise NationalAnswerUnreadable(detail="nationalNotices")
    found = [_notice(each, names) for each in _children(root, "notice")]
    if len(found) > NOTICES_MAX:
        raise NationalAnswerUnreadable(detail="notice")
    return Page(notices=tuple(found), last=_whole(root.get("last", ""), "last"))


def _notice(element: Element, names: Names) -> Notice:
    kind, notice_id = element.get("kind", ""), element.get("id", "")
    if kind not in get_args(NoticeKind) or not _NUMBER.fullmatch(notice_id):
        raise NationalAnswerUnreadable(detail="notice")
    patient = _anywhere(element, "patient")
    own = _ids(patient)
    national = [each for root, each in own if root == names.national_root and _NUMBER.fullmatch(each)]
    if not national:
        raise NationalAnswerUnreadable(detail="patient/id")
    prior = _anywhere(element, "replacementOf")
    return Notice(
        notice_id=notice_id,
        seq=_whole(element.get("seq", ""), "seq"),
        kind=kind,
        said_at=_moment(element.get("at", "")),
        national_id=national[0],
        refs=_ours(own, names),
        others=() if prior is None else _ours(_all_ids(prior), names),
        person=_person(patient),
    )


def _ours(found: list[tuple[str, str]], names: Names) -> tuple[str, ...]:
    refs = [each for root, each in found if root == names.own_root and _REF.fullmatch(each)]
    return tuple(dict.fromkeys(refs))


def _person(patient: Element | None) -> NationalPerson | None:
    person = _down(patient, "patientPerson")
    name = "" if person is None else _parts(_down(person, "name"))
    if person is None or not name:
        return None
    certificates = [(_TYPES[root], number) for root, number in _ids(person) if root in _TYPES]
    id_type, id_number = certificates[0] if certificates else ("", "")
    status = _down(patient, "statusCode")
    return NationalPerson(
        ref="",
        name=name[:100],
        sex=_code(_down(person, "administrativeGenderCode"), 1) or "0",
        birth_date=_day(_value(_down(person, "birthTime"))),
        id_type=id_type or "",
        id_number=id_number[:40],
        phone=_value(_down(person, "telecom", "item")).removeprefix("tel:")[:30],
        address=_parts(_down(person, "addr"))[:200],
        nation=_code(_down(person, "ethnicGroupCode", "item"), 2),
        marital=_code(_down(person, "maritalStatusCode"), 2),
        active=status is None or status.get("code") == "active",
        deceased_on=_day(_value(_down(person, "deceasedTime"))),
    )


def _parsed(body: bytes) -> Element:
    from lxml import etree  # type: ignore[import-untyped]  # noqa: PLC0415 -- not at every start

    if len(body) > MESSAGE_MAX:
        raise NationalAnswerUnreadable(detail="size")
    try:
        root = etree.fromstring(body.strip(), etree.XMLParser(**_PARSER))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise NationalAnswerUnreadable(detail="XML", audit=type(error).__name__) from None
    if root is None or root.getroottree().docinfo.doctype:
        raise NationalAnswerUnreadable(detail="DOCTYPE")
    return root


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < len("9223372036854775807")):
        raise NationalAnswerUnreadable(detail=field)
    return int(text)


def _moment(text: str) -> datetime:
    try:
        made = datetime.strptime(text, "%Y%m%d%H%M%S%z")
    except ValueError:
        raise NationalAnswerUnreadable(detail="at") from None
    return made.astimezone(UTC)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()  # noqa: DTZ007 -- a day has no zone
    except ValueError:
        raise NationalAnswerUnreadable(detail="date") from None


def _code(element: Element | None, size: int) -> str:
    code = "" if element is None else element.get("code", "")
    return code if len(code) == size and code.isascii() and code.isdigit() else ""


def _value(element: Element | None) -> str:
    return "" if element is None else (element.get("value") or "").strip()


def _parts(element: Element | None) -> str:
    if element is None:
        return ""
    said = "".join(each.get("value", "") for each in element.iter("{*}part"))
    return " ".join("".join(mark for mark in said if mark.isprintable()).split())


def _ids(element: Element | None) -> list[tuple[str, str]]:
    found = []
    for own in _children(element, "id"):
        for each in (own, *_children(own, "item")):
            root, extension = each.get("root", ""), each.get("extension", "")
            if root and extension:
                found.append((root, extension))
    return found


def _all_ids(element: Element) -> list[tuple[str, str]]:
    return [pair for each in element.iter() if isinstance(each.tag, str) for pair in _ids(each)]


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: Element | None, name: str) -> list[Element]:
    if element is None:
        return []
    return [each for each in element if isinstance(each.tag, str) and _local(each) == name]


def _down(element: Element | None, *names: str) -> Element | None:
    found = element
    for name in names:
        found = next(iter(_children(found, name)), None)
    return found


def _anywhere(element: Element, name: str) -> Element | None:
    return next((each for each in element.iter() if isinstance(each.tag, str) and _local(each) == name), None)
