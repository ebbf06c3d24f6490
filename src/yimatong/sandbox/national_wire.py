"""The wire of the simulated national index: SOAP 1.1 and HL7 v3 in and out, from the specification."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from lxml import etree  # type: ignore[import-untyped]  # the library has no types

V3: Final = "urn:hl7-org:v3"
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
NATIONAL_ROOT: Final = "2.25.235579836499763305885830152887050096990"
"""The object identifier of the national index's own numbers."""

ACTIONS: Final = {
    "PatientRegistryAddRequest",
    "PatientRegistryReviseRequest",
    "PatientRegistryDuplicatesResolved",
}
_ACCEPTED: Final = {"PRPA_IN201311UV02": "PRPA_IN201312UV02", "PRPA_IN201314UV02": "PRPA_IN201315UV02"}
_REFUSED: Final = {"PRPA_IN201311UV02": "PRPA_IN201313UV02", "PRPA_IN201314UV02": "PRPA_IN201316UV02"}
Element = Any


class Unreadable(Exception):
    """No message of the specification."""


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """A person's number in a province's domain."""

    root: str
    extension: str


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a message says of a person; ``birth`` as YYYYMMDD."""

    name: str
    sex: str = "0"
    birth: str = ""
    certificate_root: str = ""
    certificate: str = ""
    phone: str = ""
    address: str = ""
    nation: str = ""
    marital: str = ""
    status: str = "active"
    deceased: str = ""


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """A message: its name and id, who sent it, whom it is about, who was replaced, what is said."""

    interaction: str
    message_id: str
    sender: str
    ref: Ref
    said: Said
    replaced: Ref | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question for notices."""

    root: str
    after: int
    limit: int


def called(body: bytes) -> tuple[str, str]:
    """Return action and message of a SOAP call. Raises Unreadable."""
    root = _parsed(body)
    operation = root.find(f"{{{SOAP}}}Body/{{{V3}}}HIPMessageServer")
    if operation is None:
        raise Unreadable
    return operation.findtext(f"{{{V3}}}action") or "", operation.findtext(f"{{{V3}}}message") or ""


def talk(message: str) -> Talk:
    """Read a message. Raises Unreadable."""
    root = _parsed(message.encode())
    name = etree.QName(root).localname
    patient = root.find(".//{*}registrationRequest/{*}subject1/{*}patient")
    sender = root.find("{*}sender/{*}device/{*}id/{*}item")
    own = root.find("{*}id")
    if patient is None or sender is None or own is None:
        raise Unreadable
    prior = root.find(".//{*}replacementOf//{*}priorRegisteredRole/{*}id/{*}item")
    return Talk(
        interaction=name,
        message_id=own.get("extension", ""),
        sender=sender.get("extension", ""),
        ref=_ref(patient.find("{*}id/{*}item")),
        said=_said(patient),
        replaced=None if prior is None else _ref(prior),
    )


def asked(message: str) -> Asked:
    """Read a question for notices. Raises Unreadable."""
    root = _parsed(message.encode())
    if root.tag != "askNotices" or not re.fullmatch(r"\d{1,18}", root.get("after", "")):
        raise Unreadable
    return Asked(root=root.get("root", ""), after=int(root.get("after")), limit=int(root.get("limit", "50")))


def _said(patient: Element) -> Said:
    person = patient.find("{*}patientPerson")
    if person is None:
        raise Unreadable
    certificate = person.find("{*}id/{*}item")
    phone = _at(person, "{*}telecom/{*}item", "value")
    return Said(
        name="".join(each.get("value", "") for each in person.iterfind("{*}name//{*}part")),
        sex=_at(person, "{*}administrativeGenderCode", "code"),
        birth=_at(person, "{*}birthTime", "value"),
        certificate_root="" if certificate is None else certificate.get("root", ""),
        certificate="" if certificate is None else certificate.get("extension", ""),
        phone=phone.removeprefix("tel:"),
        address="".join(each.get("value", "") for each in person.iterfind("{*}addr//{*}part")),
        nation=_at(person, "{*}ethnicGroupCode/{*}item", "code"),
        marital=_at(person, "{*}maritalStatusCode", "code"),
        status=_at(patient, "{*}statusCode", "code"),
        deceased=_at(person, "{*}deceasedTime", "value"),
    )


def answer(asked_by: Talk, *, national_id: str = "", refused: str = "") -> str:
    """Return the acknowledgement of a message: with the person's national number, or with the code of a refusal."""
    names = _REFUSED if refused else _ACCEPTED
    root = etree.Element(f"{{{V3}}}{names.get(asked_by.interaction, 'MCCI_IN000002UV01')}", nsmap={None: V3})
    made = _sub(root, "acknowledgement", typeCode="AE" if refused else "AA")
    _sub(_sub(made, "targetMessage"), "id", root="2.16.156.10011.2.5.1.1", extension=asked_by.message_id)
    if refused:
        _sub(_sub(made, "acknowledgementDetail", typeCode="E"), "code", code=refused)
        return _text(root)
    act = _sub(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    subject = _sub(_sub(_sub(act, "subject"), "registrationEvent"), "subject1")
    own = _sub(_sub(subject, "patient", classCode="PAT"), "id")
    _sub(own, "item", root=NATIONAL_ROOT, extension=national_id)
    _sub(own, "item", root=asked_by.ref.root, extension=asked_by.ref.extension)
    return _text(root)


def notices(
    found: Sequence[tuple[str, int, str, datetime, str, Sequence[Ref], Sequence[Ref], Said]], *, last: int
) -> str:
    """Return a page of the mailbox: each notice holds a message of HL7 v3."""
    root = etree.Element("nationalNotices", last=str(last))
    for notice_id, seq, kind, at, national_id, refs, others, said in found:
        moment = at.astimezone(UTC).strftime("%Y%m%d%H%M%S%z")
        made = etree.SubElement(root, "notice", id=notice_id, seq=str(seq), kind=kind, at=moment)
        name = "PRPA_IN201302UV02" if kind == "distributed" else "PRPA_IN201304UV02"
        message = etree.SubElement(made, f"{{{V3}}}{name}", nsmap={None: V3})
        event = _sub(_sub(_sub(message, "controlActProcess"), "subject"), "registrationEvent")
        _patient(_sub(event, "subject1"), national_id, refs, said)
        if others:
            prior = _sub(_sub(event, "replacementOf"), "priorRegistration")
            own = _sub(_sub(_sub(prior, "subject1"), "priorRegisteredRole"), "id")
            for each in others:
                _sub(own, "item", root=each.root, extension=each.extension)
    return _text(root)


def _patient(parent: Element, national_id: str, refs: Sequence[Ref], said: Said) -> None:
    patient = _sub(parent, "patient", classCode="PAT")
    own = _sub(patient, "id")
    _sub(own, "item", root=NATIONAL_ROOT, extension=national_id)
    for each in refs:
        _sub(own, "item", root=each.root, extension=each.extension)
    _sub(patient, "statusCode", code=said.status)
    person = _sub(patient, "patientPerson")
    if said.certificate:
        _sub(_sub(person, "id"), "item", root=said.certificate_root, extension=said.certificate)
    _sub(_sub(_sub(person, "name"), "item"), "part", value=said.name)
    if said.phone:
        _sub(_sub(person, "telecom"), "item", value=f"tel:{said.phone}")
    _sub(person, "administrativeGenderCode", code=said.sex)
    if said.birth:
        _sub(person, "birthTime", value=said.birth)
    if said.deceased:
        _sub(person, "deceasedTime", value=said.deceased)
    if said.address:
        _sub(_sub(_sub(person, "addr"), "item"), "part", value=said.address)
    if said.marital:
        _sub(person, "maritalStatusCode", code=said.marital)
    if said.nation:
        _sub(_sub(person, "ethnicGroupCode"), "item", code=said.nation)


def enveloped(message: str) -> bytes:
    """Return a SOAP answer."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    body = etree.SubElement(envelope, f"{{{SOAP}}}Body")
    response = etree.SubElement(body, f"{{{V3}}}HIPMessageServerResponse", nsmap={None: V3})
    _sub(response, "payload").text = message
    return bytes(etree.tostring(envelope, encoding="UTF-8", xml_declaration=True))


def _ref(element: Element | None) -> Ref:
    if element is None or not element.get("root") or not element.get("extension"):
        raise Unreadable
    return Ref(root=element.get("root"), extension=element.get("extension"))


def _at(element: Element, path: str, attribute: str) -> str:
    found = element.find(path)
    return "" if found is None else str(found.get(attribute, ""))


def _parsed(body: bytes) -> Element:
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable from error
    if root is None:
        raise Unreadable
    return root


def _sub(parent: Element, name: str, **attributes: str) -> Element:
    return etree.SubElement(parent, f"{{{V3}}}{name}", **attributes)


def _text(root: Element) -> str:
    return str(etree.tostring(root, encoding="unicode"))
