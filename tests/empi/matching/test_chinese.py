"""Chinese records: what each comparison, guard and blocking key makes of the mistakes that windows make."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.empi.matching import blocking, model
from yimatong.empi.matching.facts import Facts, Score
from yimatong.empi.matching.scoring import Scorer, Thresholds
from yimatong.standards.id_number import check_digit

_NUMBER = "610113198705123" + "44"
NUMBER = _NUMBER[:17] + check_digit(_NUMBER[:17])
OTHER = "61011319870512362"
OTHER += check_digit(OTHER)
HOME = "陕西省西安市雁塔区解放路61号祥和小区26号楼2单元1604室"
WHOLE = Facts(
    name="张晓燕",
    sex="2",
    birth_date=date(1987, 5, 12),
    id_type="01",
    id_number=NUMBER,
    phone="13991234567",
    address=HOME,
)
THRESHOLDS = Thresholds(link=10.0, review=0.0)
_scorer = Scorer(model.default())


def said(**other: object) -> Facts:
    return Facts(**({name: getattr(WHOLE, name) for name in WHOLE.__struct_fields__} | other))


def score(left: Facts, right: Facts) -> Score:
    one, other = _scorer.prepare(left), _scorer.prepare(right)
    found, back = _scorer.score(one, other), _scorer.score(other, one)
    assert (found.weight, found.guards) == (pytest.approx(back.weight), back.guards), "a score has no direction"
    return found


def level(left: Facts, right: Facts, comparison: str) -> str:
    return next(each.level for each in score(left, right).evidence if each.comparison == comparison)


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (NUMBER, "valid"),
        (NUMBER.lower(), "valid"),
        (f" {NUMBER[:6]} {NUMBER[6:]} ", "valid"),
        (NUMBER[:6] + NUMBER[8:17], "valid"),  # 15 digits, GB 11643-1989
        (NUMBER[:9] + "9" + NUMBER[10:], "slip"),
        (NUMBER[:15] + NUMBER[16] + NUMBER[15] + NUMBER[17], "slip" if NUMBER[15] != NUMBER[16] else "valid"),
        (OTHER, "two_valid"),
        ("123456", "else"),
        ("", "missing"),
    ],
)
def test_numbers(number, found):
    assert level(WHOLE, said(id_number=number), "id") == found


def test_two_wrong_numbers_that_agree_are_the_same_but_prove_nothing():
    wrong = NUMBER[:17] + ("1" if NUMBER[17] != "1" else "2")
    assert level(said(id_number=wrong), said(id_number=wrong), "id") == "same"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("张晓燕", "exact"),
        (" 张 晓燕", "exact"),
        *(("张晓燕(急诊)", "exact"), ("张晓燕（体检）", "exact"), ("张晓燕 02", "exact"), ("张晓燕*", "exact")),
        ("張曉燕", "variant"),
        ("章小艳", "homophone"),
        ("Zhang Xiaoyan", "pinyin"),
        ("XIAOYAN ZHANG", "pinyin"),
        ("燕晓张", "swapped"),
        ("李晓燕", "surname_changed"),
        ("张晓华", "one_character"),
        ("张燕", "one_character"),
        ("张丽", "surname"),
        ("王建国", "else"),
        ("张晓燕之子", "newborn"),
        ("", "missing"),
        ("无名氏", "missing"),
        ("无名氏2", "missing"),
        ("(急诊)", "missing"),
    ],
)
def test_names(name, found):
    assert level(WHOLE, said(name=name), "name") == found


def test_names_with_a_middle_dot():
    full = said(name="阿依古丽·买买提")
    for other in ("阿依古丽•买买提", "阿依古丽.买买提", "阿依古丽 买买提", "阿依古丽买买提"):
        assert level(full, said(name=other), "name") == "exact"
    assert level(full, said(name="阿依古麗·買買提"), "name") == "variant"


@pytest.mark.parametrize("other", ["阿布都热合曼·买买提", "阿布都热合曼买买提", "阿卜杜热合曼·麦麦提"])
def test_a_foreign_name_as_another_window_transcribes_it(other):
    """The same date, phone and door: a steward sees the pair, whatever the spelling."""
    bare = {"id_number": "", "sex": "1"}
    found = score(said(name="阿卜杜热合曼·买买提", **bare), said(name=other, **bare))
    assert THRESHOLDS.verdict(found) == "review", found
    assert level(said(name="John Smith", **bare), said(name="Jon Smith", **bare), "name") == "one_character"
    assert level(said(name="阿卜杜热合曼·买买提"), said(name="古丽娜尔·买买提"), "name") == "else"


@pytest.mark.parametrize("name", ["王芳之子", "王芳之女", "王芳之大子", "王芳之二女", "王芳之女A", "王芳之女婴"])
def test_newborns_of_one_mother(name):
    assert level(said(name="王芳之子"), said(name=name), "name") == "newborns"
    assert "newborn" in score(said(name="王芳之子"), said(name=name, id_number="")).guards


@pytest.mark.parametrize(
    ("born", "found"),
    [
        (date(1987, 5, 12), "exact"),
        (date(1987, 12, 5), "swapped"),
        (date(1987, 5, 13), "slip"),
        (date(1978, 5, 12), "slip"),
        (date(1987, 1, 1), "first_january"),
        (date(1987, 5, 30), "one_part"),
        (date(1961, 5, 12), "one_part"),
        (date(1987, 8, 30), "year"),
        (date(1990, 8, 30), "else"),
        (None, "missing"),
        (date(1900, 1, 1), "missing"),  # what a form begins with
    ],
)
def test_birth_dates(born, found):
    assert level(said(id_number=""), said(id_number="", birth_date=born), "birth") == found


def test_a_valid_number_mends_a_slip_of_the_date_and_no_other_date():
    for born in (date(1987, 1, 1), date(1987, 12, 5), date(1987, 5, 13), None):
        assert level(WHOLE, said(birth_date=born), "birth") == "exact"
    assert level(WHOLE, said(birth_date=date(2020, 3, 3)), "birth") == "else"


@pytest.mark.parametrize(
    ("phone", "address", "found"),
    [
        ("13991234567", HOME, "both"),
        ("+86 139-9123-4567", "西安雁塔区解放路61号祥和小区26-2-1604", "both"),
        ("13991234567", "", "phone"),
        ("18800001234", HOME, "address"),
        ("18800001234", "西安市雁塔区解放路90号", "street"),
        ("18800001234", "宝鸡市金台区人民街1号", "else"),
        ("", "", "missing"),
        ("13800000000", "", "missing"),  # what windows type when nobody gives a number
    ],
)
def test_household_is_one_comparison(phone, address, found):
    assert level(WHOLE, said(phone=phone, address=address), "household") == found


def test_twins_are_never_linked_by_machine():
    """The same birth date, home and phone; no numbers, one, or two."""
    for ours, theirs in (("", ""), (NUMBER, ""), (NUMBER, OTHER)):
        for name in ("张晓华", "张丽", "张华燕"):
            found = score(said(id_number=ours), said(id_number=theirs, name=name))
            assert "twins" in found.guards
            assert THRESHOLDS.verdict(found) != "link"


@pytest.mark.parametrize(
    ("other", "guard"),
    [
        ({"id_number": OTHER}, "two_certificates"),
        ({"id_number": "", "name": "章小艳"}, "twin_names"),
        ({"id_number": "", "birth_date": date(1962, 8, 30)}, "other_birth"),  # a namesake of another generation
        ({"id_number": "", "name": "章小艳", "birth_date": date(1987, 5, 30)}, "other_birth"),  # sisters
        ({"id_number": "", "name": "张晓燕之女"}, "newborn"),
        (
            {"name": "张晓燕之女", "birth_date": date(2026, 3, 3)},
            "newborn",
        ),  # the mother's number on the child's record
        ({"sex": "1"}, "other_sex"),
        ({"name": "王建国"}, "same_number_other_person"),
        ({"id_number": "", "name": "张丽", "birth_date": date(1990, 1, 2)}, "other_name"),
    ],
)
def test_guards(other, guard):
    found = score(WHOLE, said(**other))
    assert guard in found.guards
    assert THRESHOLDS.verdict(found) != "link"


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"name": "張曉燕", "phone": "18800001234", "address": ""},
        {"name": "章小艳"},  # her number proves it
        {"name": "张晓华"},
        {"name": "李晓燕", "address": "宝鸡市金台区人民街1号"},
        {"id_number": "", "phone": "18800001234"},
        {"id_number": NUMBER[:9] + "9" + NUMBER[10:], "phone": ""},
        {"name": "Zhang Xiaoyan", "id_number": ""},
    ],
)
def test_what_is_linked_in_a_province(other):
    found = score(WHOLE, said(**other))
    assert found.guards == ()
    assert THRESHOLDS.verdict(found) == "link", found


def test_a_name_and_a_birth_date_alone_are_no_proof_in_a_province():
    """Of 40 million, several have a frequent name and one birth date: a steward may look, the machine does not link."""
    bare = {"id_number": "", "phone": "", "address": ""}
    for name in ("王伟", "李静"):
        assert THRESHOLDS.verdict(score(said(name=name, **bare), said(name=name, **bare))) != "link"


@pytest.mark.parametrize(
    "other",
    [
        {"name": "章小艳", "phone": "18800001234", "id_number": "", "address": ""},
        {"name": "Xiaoyan Zhang", "phone": "18800001234", "id_number": "", "address": ""},
        {"name": "王建国", "id_number": "", "address": ""},
        {"name": "李晓燕", "phone": "", "id_number": "", "address": ""},
        {"name": "张晓华", "phone": "", "id_number": "", "address": ""},
        {"birth_date": date(1987, 1, 1), "phone": "", "id_number": "", "address": ""},
        {"birth_date": date(1978, 5, 12), "phone": "", "id_number": "", "address": ""},
        {"name": "王建国", "birth_date": None, "phone": ""},
        {"name": "王建国", "phone": "", "id_number": ""},
    ],
)
def test_a_record_with_mistakes_shares_a_blocking_key(other):
    assert set(blocking.block_keys(WHOLE)) & set(blocking.block_keys(said(**other)))


_TEXT = st.text(st.sampled_from("张李晓燕之子女·. Zhangwei0123456789Xx-\u3000𠮷號"), max_size=20)
FACTS = st.builds(
    Facts,
    name=_TEXT,
    sex=st.sampled_from("0129"),
    birth_date=st.none() | st.dates(),
    id_type=st.sampled_from(("", "01", "03")),
    id_number=_TEXT | st.just(NUMBER),
    phone=_TEXT,
    address=_TEXT | st.just(HOME),
)


@given(FACTS, FACTS)
def test_any_two_records_can_be_compared(left, right):
    """Nothing is refused, a score has no direction, keys are few and the same every time."""
    score(left, right)
    keys = blocking.block_keys(left)
    assert len(keys) <= 12
    assert keys == blocking.block_keys(left)
