"""Messages to the national index, written: HL7 v3 PRPA in SOAP 1.1 ``HIPMessageServer(action, message)``. Pure.

Registration PRPA_IN201311UV02, revision PRPA_IN201314UV02, duplicates resolved PRPA_IN201304UV02 (WS/T 448-2014, WS/T
846-2024, data types of ITS 2). Asking for notices is our own: the standards know no such message.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from yimatong.empi.identifiers import catalogue, rules
from yimatong.empi.national.schemas import Action, Names, NationalPerson

Element = Any
V3: Final = "urn:hl7-org:v3"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
SOAP_11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGE_ROOT: Final = "2.16.156.10011.2.5.1.1"
INTERACTION_ROOT: Final = "2.16.156.10011.2.5.1.2"
SYSTEM_ROOT: Final = "2.16.156.10011.2.5.1.3"
SEX_ROOT: Final = "2.16.156.10011.2.3.3.4"
MARITAL_ROOT: Final = "2.16.156.10011.2.3.3.5"
NATION_ROOT: Final = "2.16.156.10011.2.3.3.3"
RECEIVER: Final = "national"

INTERACTIONS: Final[dict[Action, tuple[str, str]]] = {
    "add": ("PatientRegistryAddRequest", "PRPA_IN201311UV02"),
    "revise": ("PatientRegistryReviseRequest", "PRPA_IN201314UV02"),
    "resolve": ("PatientRegistryDuplicatesResolved", "PRPA_IN201304UV02"),
}
"""What is done: the action of the operation, and the message."""

ASK_NOTICES: Final = "NationalNotices"


def message(
    action: Action, person: NationalPerson, names: Names, *, message_id: str, now: datetime, replaced: str = ""
) -> str:
    """Return a message about a person; ``replaced``: the reference that was retired into hers (``resolve``)."""
    name = INTERACTIONS[action][1]
    root = _root(f"{{{V3}}}{name}", {None: V3, "xsi": XSI}, ITSVersion="XML_1.0")
    _sub(root, "id", root=MESSAGE_ROOT, extension=message_id)
    _sub(root, "creationTime", value=now.strftime("%Y%m%d%H%M%S%z"))
    _sub(root, "interactionId", root=INTERACTION_ROOT, extension=name)
    _sub(root, "processingCode", code="P")
    _sub(root, "processingModeCode", code="T")
    _sub(root, "acceptAckCode", code="AL")
    for tag, kind, system in (("receiver", "RCV", RECEIVER), ("sender", "SND", names.sender_id)):
        device = _sub(_sub(root, tag, typeCode=kind), "device", classCode="DEV", determinerCode="INSTANCE")
        _sub(_sub(device, "id"), "item", root=SYSTEM_ROOT, extension=system)
    act = _sub(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    event = _sub(_sub(act, "subject", typeCode="SUBJ"), "registrationRequest", classCode="REG", moodCode="RQO")
    _sub(event, "statusCode", code="active")
    _patient(_sub(event, "subject1", typeCode="SBJ"), person, names)
    if replaced:
        prior = _sub(_sub(event, "replacementOf", typeCode="RPLC"), "priorRegistration", classCode="REG")
        _sub(prior, "statusCode", code="obsolete")
        role = _sub(_sub(prior, "subject1", typeCode="SBJ"), "priorRegisteredRole", classCode="PAT")
        _sub(_sub(role, "id"), "item", root=names.own_root, extension=replaced)
    return _text(root)


def ask_notices(names: Names, *, after: int, limit: int) -> str:
    """Return what asks for the notices behind one that we acknowledge with it."""
    return _text(_root("askNotices", {}, root=names.own_root, after=str(after), limit=str(limit)))


def enveloped(action: str, inside: str) -> bytes:
    """Return a call of ``HIPMessageServer`` in SOAP 1.1."""
    envelope = _root(f"{{{SOAP_11}}}Envelope", {"soap": SOAP_11})
    body = _under(envelope, f"{{{SOAP_11}}}Body")
    called = _under(body, f"{{{V3}}}HIPMessageServer")
    _sub(called, "action").text = action
    _sub(called, "message").text = inside
    return b"<?xml version='1.0' encoding='UTF-8'?>\n" + _text(envelope).encode()


def _patient(parent: Element, said: NationalPerson, names: Names) -> None:
    patient = _sub(parent, "patient", classCode="PAT")
    _sub(_sub(patient, "id"), "item", root=names.own_root, extension=said.ref)
    _sub(patient, "statusCode", code="active" if said.active else "terminated")
    person = _sub(patient, "patientPerson", classCode="PSN", determinerCode="INSTANCE")
    root = _root_of(said.id_type)
    if said.id_number and root:
        _sub(_sub(person, "id"), "item", root=root, extension=said.id_number)
    _typed(person, "name", "DSET_EN", use="L", part=said.name)
    if said.phone:
        _sub(_typed(person, "telecom", "BAG_TEL"), "item", value=f"tel:{said.phone}")
    _sub(person, "administrativeGenderCode", code=said.sex, codeSystem=SEX_ROOT)
    if said.birth_date:
        _sub(person, "birthTime", value=f"{said.birth_date:%Y%m%d}")
    if said.deceased_on:
        _sub(person, "deceasedTime", value=f"{said.deceased_on:%Y%m%d}")
    if said.address:
        _typed(person, "addr", "BAG_AD", use="H", part=said.address)
    if said.marital:
        _sub(person, "maritalStatusCode", code=said.marital, codeSystem=MARITAL_ROOT)
    if said.nation:
        _sub(_sub(person, "ethnicGroupCode"), "item", code=said.nation, codeSystem=NATION_ROOT)


def _root_of(id_type: str) -> str:
    domain = catalogue.STANDARD.get(rules.certificate_domain(id_type)) if id_type else None
    return "" if domain is None else domain.oid or ""


def _typed(parent: Element, name: str, kind: str, *, use: str = "", part: str = "") -> Element:
    made = _sub(parent, name)
    made.set(f"{{{XSI}}}type", kind)
    if part:
        _sub(_sub(made, "item", use=use), "part", value=part)
    return made


def _sub(parent: Element, name: str, **attributes: Any) -> Element:
    return _under(parent, f"{{{V3}}}{name}", **attributes)


def _under(parent: Element, tag: str, **attributes: Any) -> Element:
    made = parent.makeelement(tag, attributes)
    parent.append(made)
    return made


def _root(tag: str, nsmap: dict[str | None, str], **attributes: Any) -> Element:
    from lxml import etree  # type: ignore[import-untyped]  # noqa: PLC0415 -- not at every start

    return etree.Element(tag, attributes, nsmap=nsmap)


def _text(root: Element) -> str:
    from lxml import etree  # noqa: PLC0415 -- not at every start

    return str(etree.tostring(root, encoding="unicode"))
