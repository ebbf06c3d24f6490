"""``HIPMessageServer`` with a client that zeep generates from our WSDL, over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
import zeep
from core_world import make_resident
from fhir_world import RED
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from zeep.transports import Transport

from yimatong.gateways.errors import V3FieldMissing, V3FieldUnreadable, V3MessageUnreadable
from yimatong.gateways.soap import envelopes, reading

ROOT = RED.removeprefix("urn:oid:")
V3 = {"v": "urn:hl7-org:v3"}


@pytest.fixture(scope="module")
def call(health_url: str, secrets_of: dict[str, str]) -> Iterator[Callable[[str, str], Any]]:
    """Send an action and a message through zeep, and return the answer's root."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = ("his-1", secrets_of["his-1"])
        client = zeep.Client(f"{health_url}/soap/HIPMessageServer?wsdl", transport=Transport(session=session))
        service = client.create_service("{urn:hl7-org:v3}HIPMessageServerSoap", f"{health_url}/soap/HIPMessageServer")
        yield lambda action, message: etree.fromstring(service.HIPMessageServer(action, message).encode())


def message(name: str, *, number: str, person: str, root: str = ROOT, more: str = "") -> str:
    """Return a message in the form of WS/T 448-2014 (data types of ITS 2)."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
    <{name} xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ITSVersion="XML_1.0">
      <id root="2.16.156.10011.2.5.1.1" extension="{secrets.token_hex(8)}"/>
      <creationTime value="20261123110000"/>
      <interactionId root="2.16.156.10011.2.5.1.2" extension="{name}"/>
      <processingCode code="P"/><processingModeCode/><acceptAckCode code="AL"/>
      <receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE">
        <id><item root="2.16.156.10011.2.5.1.3" extension="YMT"/></id></device></receiver>
      <sender typeCode="SND"><device classCode="DEV" determinerCode="INSTANCE">
        <id><item root="2.16.156.10011.2.5.1.3" extension="HIS"/></id></device></sender>
      <controlActProcess classCode="STC" moodCode="APT">
        <subject typeCode="SUBJ"><registrationRequest classCode="REG" moodCode="RQO">
          <statusCode code="active"/>
          <subject1 typeCode="SBJ"><patient classCode="PAT">
            <id><item root="{root}" extension="{number}"/></id>
            <patientPerson classCode="PSN" determinerCode="INSTANCE">{person}</patientPerson>
          </patient></subject1>{more}
        </registrationRequest></subject>
      </controlActProcess>
    </{name}>"""


def person(name: str, *, id_number: str = "", sex: str = "1", born: str = "19850307") -> str:
    card = f'<id><item root="2.16.156.10011.1.3" extension="{id_number}"/></id>' if id_number else ""
    return f"""{card}<name xsi:type="DSET_EN"><item use="L"><part value="{name}"/></item></name>
      <telecom xsi:type="BAG_TEL"><item value="tel:13912345678"/></telecom>
      <administrativeGenderCode code="{sex}" codeSystem="2.16.156.10011.2.3.3.4"/><birthTime value="{born}"/>
      <addr xsi:type="BAG_AD"><item use="H"><part type="AL" value="陕西省西安市雁塔区雁塔路1号"/></item></addr>
      <maritalStatusCode code="20" codeSystem="2.16.156.10011.2.3.3.5"/>
      <ethnicGroupCode><item code="01" codeSystem="2.16.156.10011.2.3.3.3"/></ethnicGroupCode>"""


def number() -> str:
    return f"S{secrets.randbelow(10**12)}"


def said(answer: Any) -> tuple[str, str]:
    code = answer.find("v:acknowledgement", V3).get("typeCode")
    text = answer.find("v:acknowledgement/v:acknowledgementDetail/v:text", V3)
    return code, "" if text is None else text.get("value")


@pytest.mark.parametrize("prefix", ["", "XT-"])
def test_a_registration_gives_back_the_index_and_a_revision_the_same(
    call: Callable[[str, str], Any], prefix: str
) -> None:
    resident, own = make_resident(), number()
    whose = person("张三丰", id_number=resident.id_number, born=resident.birth_date.replace("-", ""))
    added = call(f"{prefix}PatientRegistryAddRequest", message("PRPA_IN201311UV02", number=own, person=whose))
    assert etree.QName(added).localname == "PRPA_IN201312UV02"
    code, index = said(added)
    assert (code, bool(index)) == ("AA", True)
    assert added.find(".//v:patient/v:id/v:item", V3).get("extension") == index
    revised = call("PatientRegistryReviseRequest", message("PRPA_IN201314UV02", number=own, person=whose))
    assert etree.QName(revised).localname == "PRPA_IN201315UV02"
    assert said(revised) == ("AA", index)


def test_what_is_wrong_is_acknowledged_with_its_code(call: Callable[[str, str], Any]) -> None:
    nameless = person("").replace('<part value=""/>', "")
    refused = call("PatientRegistryAddRequest", message("PRPA_IN201311UV02", number=number(), person=nameless))
    assert etree.QName(refused).localname == "PRPA_IN201313UV02"
    assert said(refused)[0] == "AE"
    assert said(refused)[1].startswith("GWY-3202")
    strange = call(
        "PatientRegistryAddRequest", message("PRPA_IN201311UV02", number="1", person=person("王"), root="9.9")
    )
    assert said(strange)[1].startswith("GWY-3110")
    other = call("PatientInfoMerge", message("PRPA_IN201311UV02", number="1", person=person("王")))
    assert said(other)[1].startswith("GWY-3204")


def test_records_are_merged(call: Callable[[str, str], Any]) -> None:
    first, second = number(), number()
    for own in (first, second):
        assert (
            said(call("PatientInfoRegister", message("PRPA_IN201311UV02", number=own, person=person("欧阳锋"))))[0]
            == "AA"
        )
    prior = f"""<replacementOf typeCode="RPLC"><priorRegistration classCode="REG" moodCode="EVN">
      <statusCode code="obsolete"/><subject1 typeCode="SBJ"><priorRegisteredRole classCode="PAT">
      <id><item root="{ROOT}" extension="{second}"/></id></priorRegisteredRole></subject1>
      </priorRegistration></replacementOf>"""
    merged = call("PatientInfoMerge", message("PRPA_IN201304UV02", number=first, person=person("欧阳锋"), more=prior))
    assert etree.QName(merged).localname == "MCCI_IN000002UV01"
    assert said(merged)[0] == "AA"


def test_a_query_finds_whom_it_asks_for(call: Callable[[str, str], Any]) -> None:
    resident, own = make_resident("令狐冲"), number()
    whose = person("令狐冲", id_number=resident.id_number, born=resident.birth_date.replace("-", ""))
    call("PatientInfoRegister", message("PRPA_IN201311UV02", number=own, person=whose))
    query = f"""<PRPA_IN201305UV02 xmlns="urn:hl7-org:v3"><id root="1" extension="2"/>
      <controlActProcess><queryByParameter><queryId root="1.2" extension="Q1"/><initialQuantity value="5"/>
      <parameterList>
      <livingSubjectId><value root="{reading.ID_CARD_ROOT}" extension="{resident.id_number}"/></livingSubjectId>
      <livingSubjectName><value><part value="令狐冲"/></value></livingSubjectName></parameterList>
      </queryByParameter></controlActProcess></PRPA_IN201305UV02>"""
    found = call("PatientRegistryFindCandidatesQuery", query)
    assert etree.QName(found).localname == "PRPA_IN201306UV02"
    assert found.find(".//v:queryAck/v:queryResponseCode", V3).get("code") == "OK"
    assert found.find(".//v:queryAck/v:queryId", V3).get("extension") == "Q1"
    assert own in [each.get("extension") for each in found.findall(".//v:patient/v:id/v:item", V3)]


def test_the_wsdl_is_open_and_calls_are_not(health_url: str) -> None:
    with httpx.Client(base_url=health_url, trust_env=False) as http:
        assert http.get("/soap/HIPMessageServer.wsdl").text.startswith("<?xml")
        assert http.post("/soap/HIPMessageServer", content=b"<x/>").status_code == 401


def test_no_message_at_all_is_a_fault_of_the_sender(health_url: str, secrets_of: dict[str, str]) -> None:
    with httpx.Client(base_url=health_url, trust_env=False, auth=("his-1", secrets_of["his-1"])) as http:
        for body in (b"", b"<x/>", b"\xff", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'):
            answer = http.post("/soap/HIPMessageServer", content=body, headers={"content-type": "text/xml"})
            assert (answer.status_code, "GWY-3201" in answer.text) == (500, True)
            assert "soap:Client" in answer.text


def test_soap_12_is_answered_in_soap_12() -> None:
    operation = "<HIPMessageServer><action>A</action><message>&lt;x/&gt;</message></HIPMessageServer>"
    body = f'<e:Envelope xmlns:e="{envelopes.SOAP_12}"><e:Body>{operation}</e:Body></e:Envelope>'
    asked = envelopes.request(body.encode())
    assert (asked.soap, asked.namespace, asked.message) == (envelopes.SOAP_12, "", "<x/>")
    assert b"<HIPMessageServerResponse><payload>ok</payload>" in envelopes.answer(asked, "ok")


def test_its_1_is_read_too() -> None:
    plain = """<PRPA_IN201311UV02 xmlns="urn:hl7-org:v3"><controlActProcess><subject><registrationRequest><subject1>
      <patient><id root="1.2.3" extension="7"/><patientPerson>
      <name use="L"><family>王</family><given>小明</given></name>
      <administrativeGenderCode code="M"/><birthTime value="1985"/><addr><city>西安市</city></addr>
      <asOtherIDs><id root="2.16.156.10011.1.3" extension="11010519491231002x"/></asOtherIDs></patientPerson></patient>
      </subject1></registrationRequest></subject></controlActProcess></PRPA_IN201311UV02>"""
    found = reading.patient(reading.parsed(plain))
    assert found.numbers == (reading.InstanceId("1.2.3", "7"),)
    assert (found.stated.name, found.stated.sex, str(found.stated.birth_date)) == ("王小明", "1", "1985-01-01")
    assert (found.stated.id_number, found.stated.address) == ("11010519491231002X", "西安市")


@given(st.text(max_size=300))
def test_any_text_ends_in_a_named_error(text: str) -> None:
    for body in (text, f"<PRPA_IN201311UV02><patient>{text}</patient></PRPA_IN201311UV02>"):
        with pytest.raises((V3MessageUnreadable, V3FieldMissing, V3FieldUnreadable)):
            reading.patient(reading.parsed(body))
