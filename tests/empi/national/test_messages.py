"""Messages of the exchange: written so that the simulator reads them, read without trusting whoever wrote them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from yimatong.empi.errors import NationalAnswerUnreadable
from yimatong.empi.national import messages, reading
from yimatong.empi.national.schemas import Names, NationalPerson
from yimatong.sandbox import national_wire as wire
from yimatong.sandbox.national_wire import Ref

NAMES = Names(sender_id="ymt-610000", own_root="2.25.7", national_root=wire.NATIONAL_ROOT)
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
OWN, OTHER = "a" * 32, "b" * 32
PERSON = NationalPerson(
    ref=OWN,
    name="阿卜杜拉·买买提 <&>",
    sex="1",
    birth_date=date(1975, 6, 30),
    id_type="01",
    id_number="610102197506300339",
    phone="13800138000",
    address="陕西省西安市“雁塔区”",
    nation="05",
    marital="20",
    deceased_on=date(2026, 1, 2),
)


def test_what_is_written_is_what_the_other_side_reads() -> None:
    text = messages.message("resolve", PERSON, NAMES, message_id="hl7_1", now=NOW, replaced=OTHER)
    action, inside = wire.called(messages.enveloped("PatientRegistryDuplicatesResolved", text))
    talk = wire.talk(inside)
    assert (action, talk.interaction) == ("PatientRegistryDuplicatesResolved", "PRPA_IN201304UV02")
    assert (talk.message_id, talk.sender) == ("hl7_1", "ymt-610000")
    assert talk.ref == Ref(root="2.25.7", extension=OWN)
    assert talk.replaced == Ref(root="2.25.7", extension=OTHER)
    said = talk.said
    assert (said.name, said.sex, said.birth, said.deceased) == (PERSON.name, "1", "19750630", "20260102")
    assert (said.certificate_root, said.certificate) == ("2.16.156.10011.1.3", PERSON.id_number)
    assert (said.phone, said.address, said.nation, said.marital) == ("13800138000", PERSON.address, "05", "20")

    shown = [("NT1", 7, "distributed", NOW, "N1", (talk.ref, Ref(root="2.25.1", extension="gs-1")), (), said)]
    page = reading.page(wire.notices(shown, last=7), NAMES)
    (notice,) = page.notices
    assert (notice.seq, notice.kind, notice.refs, notice.others, notice.said_at) == (7, "distributed", (OWN,), (), NOW)
    assert notice.person == NationalPerson(**{**{f: getattr(PERSON, f) for f in PERSON.__struct_fields__}, "ref": ""})


def test_answers() -> None:
    text = messages.message("add", PERSON, NAMES, message_id="hl7_2", now=NOW)
    accepted = reading.answer(wire.answer(wire.talk(text), national_id="N00000000000000001"), NAMES)
    assert (accepted.accepted, accepted.message_id, accepted.national_id) == (True, "hl7_2", "N00000000000000001")
    refused = reading.answer(wire.answer(wire.talk(text), refused="CERTIFICATE"), NAMES)
    assert (refused.accepted, refused.reason, refused.national_id) == (False, "CERTIFICATE", "")
    odd = reading.answer(wire.answer(wire.talk(text), refused="张三 610102"), NAMES)
    assert odd.reason == "OTHER", "free text may name somebody"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>502</html>",
        "<nationalNotices last='1'><notice id='N' seq='1' kind='merged' at='x'/></nationalNotices>",
        "<nationalNotices last='-1'/>",
        "<nationalNotices last='99999999999999999999'/>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM 'secret.txt'>]><nationalNotices last='1'>&b;</nationalNotices>",
        "<nationalNotices last='1'><notice id='a b' seq='1' kind='merged' at='20261123080000+0000'/></nationalNotices>",
    ],
)
def test_what_is_no_message_is_refused_by_name(text: str) -> None:
    with pytest.raises(NationalAnswerUnreadable):
        reading.page(text, NAMES)
    with pytest.raises(NationalAnswerUnreadable):
        reading.answer(text, NAMES)


def test_a_fault_is_no_answer() -> None:
    with pytest.raises(NationalAnswerUnreadable):
        reading.payload(b"<s:Envelope xmlns:s='x'><s:Body><s:Fault/></s:Body></s:Envelope>")
