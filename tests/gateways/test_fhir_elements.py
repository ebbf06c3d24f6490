"""The table of elements against fhir.resources, and the two wire forms against each other and against attacks."""

from __future__ import annotations

import json
import re
import typing

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from yimatong.gateways.errors import ResourceMalformed
from yimatong.gateways.fhir import capability, encoding
from yimatong.gateways.fhir.elements import RESOURCES, TYPES

RENAMED = {"encodedBytes": "base64Binary", "uuidVersion": "uuid"}
R4B_ONLY = ("valueCodeableReference", "valueRatioRange")


def full(name: str) -> str:
    return name if name == "CapabilityStatement" else re.sub(r"^Capability", "CapabilityStatement", name)


def foreign_type(annotation: object) -> tuple[str, bool]:
    """Return the FHIR type that a field of the foreign library has, and whether it repeats."""
    text = repr(annotation)
    many = "List[" in text
    found = re.search(r"abc\.(\w+)Type\b", text)
    if found and found[1] != "FHIRPrimitiveExtension":
        return found[1], many
    if "Xhtml" in text:
        return "xhtml", many
    if "Url()" in text:
        return "url", many
    named = re.search(r"Annotated\[[^,]+, (\w+)\(", text)
    if named is None:
        return "boolean", many
    kind = named[1][0].lower() + named[1][1:]
    return RENAMED.get(kind, kind), many


@pytest.mark.parametrize("kind", sorted(set(TYPES) - {"Primitive"}))
def test_the_table_is_what_the_structure_definitions_say(kind: str) -> None:
    model = get_fhir_model_class(full(kind))
    theirs = {
        (field.alias or name): foreign_type(field.annotation)
        for name, field in model.model_fields.items()
        if not name.endswith("__ext") and name not in ("fhir_comments", "resource_type")
    }
    for name in R4B_ONLY:
        theirs.pop(name, None)
    ours = {each.name: (full(each.type), each.many) for each in TYPES[kind].values()}
    assert ours.keys() == theirs.keys()
    for name, (type_, many) in theirs.items():
        assert ours[name] == (type_, many) or ours[name] == ("Any", many), name
    order = [name for name in model.elements_sequence() if name in ours]
    assert list(ours) == order


def test_the_capability_statement_is_the_same_in_both_forms() -> None:
    statement = capability.statement("https://ehc.example.cn/fhir")
    get_fhir_model_class("CapabilityStatement").model_validate(statement)
    assert encoding.read(encoding.write(statement, "xml"), "xml") == statement
    assert encoding.read(encoding.write(statement, "json"), "json") == statement


texts = st.text(
    st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters="\ufffe\uffff"), min_size=1
).filter(str.strip)
patients = st.fixed_dictionaries(
    {"resourceType": st.just("Patient"), "language": st.just("zh-CN")},
    optional={
        "active": st.booleans(),
        "name": st.lists(
            st.fixed_dictionaries({"text": texts}, optional={"given": st.lists(texts, min_size=1, max_size=3)}),
            min_size=1,
            max_size=3,
        ),
        "gender": st.sampled_from(["male", "female", "other", "unknown"]),
        "birthDate": st.dates().map(str),
        "multipleBirthInteger": st.integers(-(2**31), 2**31 - 1),
        "extension": st.lists(
            st.fixed_dictionaries({"url": st.just("http://x"), "valueString": texts}), min_size=1, max_size=2
        ),
        "_birthDate": st.just({"extension": [{"url": "http://x", "valueBoolean": True}]}),
    },
)


@settings(max_examples=150, deadline=None)
@given(patients)
def test_both_forms_say_the_same(resource: dict[str, typing.Any]) -> None:
    normal = {**resource}
    assert encoding.read(encoding.write(normal, "xml"), "xml") == normal
    assert encoding.read(encoding.write(normal, "json"), "json") == normal


ENTITY = b"""<?xml version="1.0"?><!DOCTYPE p [<!ENTITY x SYSTEM "http://127.0.0.1:9/secret">]>
<Patient xmlns="http://hl7.org/fhir"><name><text value="a"/></name>&x;</Patient>"""
BOMB = b"""<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><Patient xmlns="http://hl7.org/fhir"><gender value="&c;"/></Patient>"""
DEEP = b'{"resourceType":"Patient","extension":[' * 1 + b'{"url":"x","extension":[' * 60 + b"]}" * 60 + b"]}"


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (ENTITY, "xml"),
        (BOMB, "xml"),
        (ENTITY.decode().encode("utf-16"), "xml"),
        (b"<Patient/>", "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir">text</Patient>', "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir"><gender/></Patient>', "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir"><gender value="male"/><gender value="male"/></Patient>', "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir"><colour value="red"/></Patient>', "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir"><active value="yes"/></Patient>', "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir"><gender code="x" value="male"/></Patient>', "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir">' + b"<contact>" * 5000 + b"</contact>" * 5000 + b"</Patient>", "xml"),
        (b"", "xml"),
        (b"", "json"),
        (b"[]", "json"),
        (b"null", "json"),
        (b'{"resourceType":3}', "json"),
        (b'{"resourceType":"Patient"}', "json"),
        (b'{"resourceType":"Patient","active":"true"}', "json"),
        (b'{"resourceType":"Patient","active":true,"active":1}', "json"),
        (b'{"resourceType":"Patient","name":{"text":"x"}}', "json"),
        (b'{"resourceType":"Patient","name":[]}', "json"),
        (b'{"resourceType":"Patient","gender":""}', "json"),
        (b'{"resourceType":"Patient","birthDate":"1985-02-31T00:00:00"}', "json"),
        (b'{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}', "json"),
        (b'{"resourceType":"Patient","name":[{"text":"\\ud800"}]}', "json"),
        (b'{"resourceType":"Patient","name":[{"text":"\\u0000"}]}', "json"),
        (b'{"resourceType":"Patient","multipleBirthInteger":1e400}', "json"),
        (b'{"resourceType":"Patient","_name":[{}]}', "json"),
        (DEEP, "json"),
        (b"[" * 100_000, "json"),
    ],
)
def test_what_is_no_resource_is_refused(body: bytes, form: encoding.Form) -> None:
    with pytest.raises(ResourceMalformed):
        encoding.read(body, form)


def test_what_is_refused_is_not_repeated() -> None:
    with pytest.raises(ResourceMalformed) as refused:
        encoding.read(json.dumps({"resourceType": "Patient", "张三丰": 1}).encode(), "json")
    assert "张" not in refused.value.text("zh")
    assert set(RESOURCES) <= set(TYPES)
