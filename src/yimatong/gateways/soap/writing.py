"""HL7 v3 answers of the person index: acknowledgements and found persons (WS/T 448-2014, WS/T 846-2024). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from lxml import etree  # type: ignore[import-untyped]  # the library has no types

from yimatong.empi.search.schemas import PersonHit
from yimatong.gateways.soap.reading import ID_CARD_ROOT, Element, Envelope, InstanceId, V3Query
from yimatong.standards.codes import ID_CARD

V3: Final = "urn:hl7-org:v3"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
MESSAGE_ROOT: Final = "2.16.156.10011.2.5.1.1"
INTERACTION_ROOT: Final = "2.16.156.10011.2.5.1.2"
SYSTEM_ROOT: Final = "2.16.156.10011.2.5.1.3"
SEX_ROOT: Final = "2.16.156.10011.2.3.3.4"
MARITAL_ROOT: Final = "2.16.156.10011.2.3.3.5"
NATION_ROOT: Final = "2.16.156.10011.2.3.3.3"

ACCEPTED: Final = {"PRPA_IN201311UV02": "PRPA_IN201312UV02", "PRPA_IN201314UV02": "PRPA_IN201315UV02"}
"""Registration and revision: what says that the request was done."""

REFUSED: Final = {"PRPA_IN201311UV02": "PRPA_IN201313UV02", "PRPA_IN201314UV02": "PRPA_IN201316UV02"}
GENERAL: Final = "MCCI_IN000002UV01"
FOUND: Final = "PRPA_IN201306UV02"


def answered(
    asked: Envelope,
    *,
    message_id: str,
    now: datetime,
    text: str,
    refused: bool = False,
    index: InstanceId | None = None,
) -> Element:
    """Return the acknowledgement of a request; ``index`` is the person's id that a registration gives back.

    The index stands in ``acknowledgementDetail/text``, where the standard's examples have it, and as the patient's id.
    """
    name = (REFUSED if refused else ACCEPTED).get(asked.interaction, GENERAL)
    root = _wrapper(name, asked, message_id=message_id, now=now)
    _acknowledgement(root, asked, refused=refused, text=text if index is None else index.extension)
    if index is not None and name != GENERAL:
        act = _sub(root, "controlActProcess", classCode="STC", moodCode="APT")
        subject = _sub(_sub(_sub(act, "subject", typeCode="SUBJ"), "registrationRequest", classCode="REG"), "subject1")
        patient = _sub(subject, "patient", classCode="PAT")
        _sub(_sub(patient, "id"), "item", root=index.root, extension=index.extension)
    return root


def found(
    asked: Envelope,
    query: V3Query,
    hits: Sequence[tuple[PersonHit, Sequence[InstanceId]]],
    *,
    index_root: str,
    message_id: str,
    now: datetime,
    total: int,
) -> Element:
    """Return the answer to a query for candidates: one subject for each person, best first."""
    root = _wrapper(FOUND, asked, message_id=message_id, now=now)
    _acknowledgement(root, asked, refused=False, text="")
    act = _sub(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    _sub(act, "code", code="PRPA_TE201306UV02", codeSystem="2.16.840.1.113883.1.6")
    for hit, numbers in hits:
        _subject(act, hit, numbers, index_root=index_root)
    acknowledged = _sub(act, "queryAck")
    _sub(acknowledged, "queryId", root=query.query_id.root, extension=query.query_id.extension)
    _sub(acknowledged, "queryResponseCode", code="OK" if hits else "NF")
    _sub(acknowledged, "resultTotalQuantity", value=str(total))
    _sub(acknowledged, "resultCurrentQuantity", value=str(len(hits)))
    _sub(acknowledged, "resultRemainingQuantity", value=str(max(total - len(hits), 0)))
    return root


def text_of(root: Element) -> str:
    """Return a message as text with its declaration."""
    return str(etree.tostring(root, encoding="UTF-8", xml_declaration=True).decode())


def _wrapper(name: str, asked: Envelope, *, message_id: str, now: datetime) -> Element:
    root = etree.Element(f"{{{V3}}}{name}", nsmap={None: V3, "xsi": XSI}, ITSVersion="XML_1.0")
    _sub(root, "id", root=MESSAGE_ROOT, extension=message_id)
    _sub(root, "creationTime", value=now.strftime("%Y%m%d%H%M%S%z"))
    _sub(root, "interactionId", root=INTERACTION_ROOT, extension=name)
    _sub(root, "processingCode", code="P")
    _sub(root, "processingModeCode", code="T")
    _sub(root, "acceptAckCode", code="NE")
    for tag, kind, device in (("receiver", "RCV", asked.sender), ("sender", "SND", asked.receiver)):
        made = _sub(_sub(root, tag, typeCode=kind), "device", classCode="DEV", determinerCode="INSTANCE")
        _sub(_sub(made, "id"), "item", root=device.root or SYSTEM_ROOT, extension=device.extension)
    return root


def _acknowledgement(root: Element, asked: Envelope, *, refused: bool, text: str) -> None:
    made = _sub(root, "acknowledgement", typeCode="AE" if refused else "AA")
    _sub(_sub(made, "targetMessage"), "id", root=asked.id.root or MESSAGE_ROOT, extension=asked.id.extension)
    if text:
        _sub(_sub(made, "acknowledgementDetail"), "text", value=text)


def _subject(act: Element, hit: PersonHit, numbers: Sequence[InstanceId], *, index_root: str) -> None:
    event = _sub(_sub(act, "subject", typeCode="SUBJ"), "registrationEvent", classCode="REG", moodCode="EVN")
    _sub(event, "statusCode", code="active")
    patient = _sub(_sub(event, "subject1", typeCode="SBJ"), "patient", classCode="PAT")
    own = _sub(patient, "id")
    _sub(own, "item", root=index_root, extension=hit.mpi_ref)
    for number in numbers:
        _sub(own, "item", root=number.root, extension=number.extension)
    _sub(patient, "statusCode", code="active" if hit.state == "live" else "terminated")
    person = _sub(patient, "patientPerson", classCode="PSN", determinerCode="INSTANCE")
    if hit.id_type == ID_CARD and hit.id_number:
        _sub(_sub(person, "id"), "item", root=ID_CARD_ROOT, extension=hit.id_number)
    _typed(person, "name", "DSET_EN", use="L", part=hit.name)
    if hit.phone:
        _sub(_typed(person, "telecom", "BAG_TEL"), "item", value=f"tel:{hit.phone}")
    _sub(person, "administrativeGenderCode", code=hit.sex, codeSystem=SEX_ROOT)
    if hit.birth_date:
        _sub(person, "birthTime", value=f"{hit.birth_date:%Y%m%d}")
    if hit.address:
        _typed(person, "addr", "BAG_AD", use="H", part=hit.address)
    if hit.marital:
        _sub(person, "maritalStatusCode", code=hit.marital, codeSystem=MARITAL_ROOT)
    if hit.nation:
        _sub(_sub(person, "ethnicGroupCode"), "item", code=hit.nation, codeSystem=NATION_ROOT)
    _sub(_sub(_sub(_sub(event, "subject2"), "queryMatchObservation"), "value"), "value", value=f"{hit.rank:.4f}")


def _typed(parent: Element, name: str, kind: str, *, use: str = "", part: str = "") -> Element:
    made = _sub(parent, name)
    made.set(f"{{{XSI}}}type", kind)
    if part:
        _sub(_sub(made, "item", use=use), "part", value=part)
    return made


def _sub(parent: Element, name: str, **attributes: Any) -> Element:
    return etree.SubElement(parent, f"{{{V3}}}{name}", **attributes)
