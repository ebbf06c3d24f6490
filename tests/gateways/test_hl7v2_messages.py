"""HL7 v2.5 messages taken apart and put together: chapter 2 of the standard, and hl7apy as the other reader."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime

import pytest
from hl7apy.parser import parse_message
from hypothesis import assume, given
from hypothesis import strategies as st

from yimatong.empi.errors import PersonDisagrees
from yimatong.gateways.errors import (
    CharacterSetUnsupported,
    FieldMissing,
    FieldUnreadable,
    KeyUnknown,
    MessageUnreadable,
    SegmentMissing,
    TableValueUnknown,
)
from yimatong.gateways.hl7v2 import queries, reading, writing
from yimatong.gateways.hl7v2.messages import Location, Received, components, escaped, segment

NOW = datetime(2026, 11, 23, 8, 0, 1, tzinfo=UTC)
HEAD = "MSH|^~\\&|HIS|H1|YMT|P|20261123080000||ADT^A01^ADT_A01|77|P|2.5||||||UNICODE UTF-8\r"


def received(*segments: str, head: str = HEAD, encoding: str = "utf-8") -> Received:
    return Received((head + "".join(f"{each}\r" for each in segments)).encode(encoding))


def patient(pid: str) -> reading.Patient:
    return reading.patient(received(pid).one("PID"))


def test_a_patient_is_read() -> None:
    found = patient(
        "PID|1||0012^^^H1&2.16.156.1&ISO^PI~6101^^^SC^SS||阿卜杜热合曼·买买提^^^^^^L^I~Abdu^R^^^^^L^P|李^母|19800229|M|||"
        "雁塔路 1 号^^西安市^陕西省^710000^CHN^H^^雁塔区||^PRN^PH^^86^029^8765432|13800138000||M|||11010519491231002X"
    )
    first, second = found.identifiers
    assert (first.number, first.authority, first.type_code, str(first.location)) == (
        "0012",
        reading.Authority("H1", "2.16.156.1", "ISO"),
        "PI",
        "PID^1^3^1",
    )
    assert (second.number, second.authority.namespace, str(second.location)) == ("6101", "SC", "PID^1^3^2")
    stated = found.stated
    assert (stated.name, stated.sex, stated.birth_date) == ("阿卜杜热合曼·买买提", "1", date(1980, 2, 29))
    assert (stated.mother_name, stated.phone, stated.marital) == ("李母", "0298765432", "20")
    assert stated.address == "陕西省西安市雁塔区雁塔路 1 号"
    assert (stated.id_type, stated.id_number) == ("01", "11010519491231002X")
    assert not found.deceased


@pytest.mark.parametrize(
    ("written", "name"),
    [("王小明", "王小明"), ("王^小明", "王小明"), ("Smith^John^Q", "Smith John Q"), ("王^小^明", "王小明")],
)
def test_names(written: str, name: str) -> None:
    assert patient(f"PID|||1^^^A||{written}").stated.name == name


def test_escapes_are_undone_and_done() -> None:
    assert patient("PID|||1^^^A||王\\T\\\\S\\\\F\\").stated.name == "王&^|"
    assert escaped("a&b^c|d~e\\f\rg") == "a\\T\\b\\S\\c\\F\\d\\R\\e\\E\\f g"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool))
def test_any_text_survives_the_wire(text: str) -> None:
    assume(text != '""')  # that is the deletion of a field (2.5.3.6)
    again = received(segment("PID", {3: components(["1", "", "", ["A", "1.2", "ISO"]]), 5: components([text])}))
    assert again.one("PID").get(5) == text.strip()


def test_deletions_are_told() -> None:
    pid = received('PID|||1^^^A||王|""').one("PID")
    assert (pid.get(6), pid.raw(6)) == ("", '""')


@pytest.mark.parametrize(
    ("pid", "error", "location"),
    [
        ("PID|||^^^A||王", FieldMissing, "PID^1^3"),
        ("PID|||1^^^A||", FieldMissing, "PID^1^5"),
        ("PID|||1^^^A||王||19801340|M", FieldUnreadable, "PID^1^7"),
        ("PID|||1^^^A||王||19800101|X", TableValueUnknown, "PID^1^8"),
        (f"PID|||{'9' * 65}^^^A||王", FieldUnreadable, "PID^1^3^1"),
        (f"PID|||1^^^A||{'王' * 101}", FieldUnreadable, "PID^1^5"),
    ],
)
def test_what_is_wrong_says_where(pid: str, error: type[Exception], location: str) -> None:
    with pytest.raises(error) as caught:
        patient(pid)
    assert caught.value.facts["location"] == location  # type: ignore[attr-defined]


def test_a_year_or_a_month_may_be_all_that_is_known() -> None:
    assert patient("PID|||1^^^A||王||1980").stated.birth_date == date(1980, 1, 1)
    pid = received("PID|||1^^^A||王||198006").one("PID")
    assert (reading.day(pid, 7), reading.estimated(pid, 7)) == (date(1980, 6, 1), True)
    assert not reading.estimated(received("PID|||1^^^A||王||19800601").one("PID"), 7)


@pytest.mark.parametrize(
    "raw", [b"", b"hello", b"MSH|", b"MSH|^~\\&", b"MSH|#~\\&|A|B", b"\xff\xfe", b"EVN|A01\rMSH|^~\\&|"]
)
def test_what_is_no_message_is_told(raw: bytes) -> None:
    with pytest.raises((MessageUnreadable, SegmentMissing, CharacterSetUnsupported)):
        reading.patient(Received(raw).one("PID"))


@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_named_error(noise: bytes) -> None:
    with contextlib.suppress(MessageUnreadable, SegmentMissing, FieldMissing, FieldUnreadable, TableValueUnknown):
        reading.patient(Received(HEAD.encode() + b"PID|" + noise).one("PID"))


def test_character_sets() -> None:
    head = HEAD.replace("UNICODE UTF-8", "GB 18030-2000")
    message = received("PID|||1^^^A||王𠮷", head=head, encoding="gb18030")
    assert message.one("PID").get(5) == "王𠮷"
    with pytest.raises(CharacterSetUnsupported):
        received("PID|||1", head=HEAD.replace("UNICODE UTF-8", "8859/7"))
    assert received("PID|||1^^^A||王", head=HEAD.replace("\r", "\n")).one("PID").get(5) == "王"


def answered(answer: writing.Answer, *, head: str = HEAD) -> str:
    to = reading.header(received(head=head))
    return writing.written(answer, to, charset="UNICODE UTF-8", control_id="9", now=NOW).decode()


def test_an_acknowledgement_is_read_by_another_library() -> None:
    text = answered(writing.acknowledged("A01"))
    assert text.split("\r")[1] == "MSA|AA|77"
    message = parse_message(text, find_groups=False)
    assert message.msh.msh_9.to_er7() == "ACK^A01^ACK"
    assert (message.msh.msh_3.to_er7(), message.msh.msh_5.to_er7()) == ("YMT", "HIS")
    assert message.msh.msh_7.to_er7() == "20261123080001+0000"


def test_errors_stand_where_the_version_has_them() -> None:
    fault = KeyUnknown(location=str(Location("PID", 1, 3, 1, 4)))
    new = answered(writing.acknowledged("A01", [fault]))
    assert "\rMSA|AE|77\rERR||PID^1^3^1^4|204^Unknown key identifier^HL70357|E|GWY-3110^" in new
    old = answered(writing.acknowledged("A01", [fault]), head=HEAD.replace("|2.5|", "|2.3.1|"))
    assert "\rERR|PID^1^3^204&Unknown key identifier&HL70357\r" in old
    assert "ERR||" not in old


def test_faults_of_the_index_are_application_errors() -> None:
    assert writing.code_of([PersonDisagrees()]) == "AE"
    assert writing.code_of([PersonDisagrees(), MessageUnreadable()]) == "AR"
    assert "207^Application internal error^HL70357|E|EMP-1001^" in answered(
        writing.acknowledged("A01", [PersonDisagrees()])
    )


def test_a_quantity_of_any_length_is_a_number() -> None:
    """More digits than Python turns into a number: the most there is, not a failure."""
    for digits, limit in (("9" * 6000, 100), ("0" * 6000, 20), ("5", 5)):
        asked = received("QPD|Q22|T|@PID.5.1^张", f"RCP|I|{digits}^RD")
        assert queries.pdq(asked).query.limit == limit
