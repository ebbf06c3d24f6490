import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.kit.errors import catalogue
from yimatong.standards import codes, errors, org_codes, phones, regions
from yimatong.standards.errors import CodeUnknown, OrganisationCodeInvalid, PhoneInvalid

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "id_numbers.json").read_text("utf-8"))


def test_nations_are_the_56_of_gb_3304():
    assert list(codes.NATIONS) == [f"{number:02}" for number in range(1, 57)]
    assert len({term.zh for term in codes.NATIONS.values()}) == 56
    assert len({term.en for term in codes.NATIONS.values()}) == 56
    assert (codes.NATIONS["01"].zh, codes.NATIONS["05"].zh, codes.NATIONS["56"].zh) == ("汉族", "维吾尔族", "基诺族")


@pytest.mark.parametrize(
    ("table", "value", "zh"),
    [
        ("sex", codes.MALE, "男"),
        ("sex", codes.FEMALE, "女"),
        ("marital", "22", "再婚"),
        ("certificate_type", codes.ID_CARD, "居民身份证"),
        ("certificate_type", codes.NO_CERTIFICATE, "无证件（平台域索引）"),
        ("med_step", "010103", "取药"),
    ],
)
def test_codes_have_names(table, value, zh):
    assert codes.require(table, value).zh == zh


def test_every_term_is_named_in_both_languages():
    for table in codes.TABLES.values():
        assert all(term.zh and term.en for term in table.values())


def test_unknown_codes_are_refused():
    for table in codes.TABLES:
        with pytest.raises(CodeUnknown):
            codes.require(table, "男")


@pytest.mark.parametrize("code", [*VECTORS["organisation_codes"], *VECTORS["credit_codes"]])
def test_published_organisation_codes_pass_and_slips_do_not(code):
    assert org_codes.check(code) == code
    assert org_codes.check(f" {code[:-1]}-{code[-1].lower()} ") == code
    for place in range(len(code)):
        slip = "1" if code[place] != "1" else "2"
        with pytest.raises(OrganisationCodeInvalid):
            org_codes.check(code[:place] + slip + code[place + 1 :])


@pytest.mark.parametrize(
    "code", ["", "-", "1", "D2143569", "D2143569X0", "I1350100M000100Y43", "9135010XM000100Y43", "中" * 9]
)
def test_malformed_organisation_codes_are_refused(code):
    with pytest.raises(OrganisationCodeInvalid):
        org_codes.check(code)


@given(st.from_regex(r"[0-9A-Z]{8}", fullmatch=True))
def test_a_made_organisation_code_passes(first8):
    assert org_codes.check(first8 + org_codes.organisation_check(first8))


@given(st.from_regex(r"[0-9A-HJ-NP-RTUWXY]{2}[0-9]{6}[0-9A-HJ-NP-RTUWXY]{9}", fullmatch=True))
def test_a_made_credit_code_passes(first17):
    assert org_codes.check(first17 + org_codes.credit_check(first17))


def test_regions():
    assert len(regions.PROVINCES) == 35
    assert regions.region_name("610102") == "陕西省西安市"
    assert regions.region_name("110101") == "北京市"
    assert regions.region_name("61") == "陕西省"
    assert regions.region_name("990000") == ""


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("13800138000", "13800138000"),
        ("+86 138-0013-8000", "13800138000"),
        ("8613800138000", "13800138000"),
        ("008613800138000", "13800138000"),
        ("１３８００１３８０００", "13800138000"),
        ("(029) 8765 4321", "02987654321"),
        ("+852 2345 6789", "85223456789"),
        ("12345", "12345"),
    ],
)
def test_phones_have_one_form(written, digits):
    assert phones.normalise(written) == digits
    assert phones.normalise(digits) == digits


@pytest.mark.parametrize("text", ["", "1234", "1" * 16, "138x0013800", "+", "13800138000 转 8", "٣" * 11])
def test_what_is_no_phone_is_refused(text):
    with pytest.raises(PhoneInvalid):
        phones.normalise(text)


def test_every_refusal_has_both_languages():
    ours = [error for code, error in catalogue().items() if code.startswith("STD-")]
    assert len(ours) == 19
    assert all(error.zh and error.en and 400 <= error.status < 500 for error in ours)
    assert all(error.__module__ == errors.__name__ for error in ours)
