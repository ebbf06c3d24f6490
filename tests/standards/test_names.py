import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.standards import names
from yimatong.standards.errors import (
    NameHasControl,
    NameHasDigit,
    NameHasEmoji,
    NameHasOther,
    NameInvalid,
    NameLength,
)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("张三", "张三"),
        ("  张三\r\n", "张三"),
        ("\u3000张三\u3000", "张三"),
        ("𠮷田", "𠮷田"),
        ("㛃〇", "㛃〇"),
        ("阿依古丽·买买提", "阿依古丽·买买提"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽・买买提", "阿依古丽·买买提"),
        ("阿依古丽‧买买提", "阿依古丽·买买提"),
        ("阿依古丽.买买提", "阿依古丽·买买提"),
        ("阿依古丽．买买提", "阿依古丽·买买提"),
        ("阿依古丽 · 买买提", "阿依古丽·买买提"),
        ("John  Smith", "John Smith"),
        ("ＪＯＨＮ", "JOHN"),
        ("Jose\u0301", "José"),
        ("O’Brien", "O'Brien"),
        ("Jean-Luc", "Jean-Luc"),
        ("\uf9d1", "六"),  # a compatibility ideograph
    ],
)
def test_one_written_form(written, form):
    assert names.normalise(written) == form


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("", NameLength),
        (" \n", NameLength),
        ("张" * 51, NameLength),
        ("张3", NameHasDigit),
        ("张３", NameHasDigit),
        ("张①", NameHasDigit),
        ("张😀", NameHasEmoji),
        ("张❤\ufe0f", NameHasEmoji),
        ("张\u200b三", NameHasControl),
        ("张\x00三", NameHasControl),
        ("张\u202e三", NameHasControl),
        ("张\t三", NameHasControl),
        ("\ufeff张三", NameHasControl),
        ("张,三", NameHasOther),
        ("张<b>", NameHasOther),
        ("·张三", NameHasOther),
        ("张三·", NameHasOther),
        ("张··三", NameHasOther),
        ("张-三", NameHasOther),
        ("J.Smith", NameHasOther),
        ("Иван", NameHasOther),
        ("\ue000", NameHasOther),
        ("ａ" + "\u0301" * 3, NameHasOther),
    ],
)
def test_what_is_no_name_is_refused_by_name(name, refusal):
    with pytest.raises(NameInvalid) as caught:
        names.normalise(name)
    assert type(caught.value) is refusal


def test_position_counts_from_one_after_trimming():
    with pytest.raises(NameHasDigit) as caught:
        names.normalise("  张三4")
    assert caught.value.facts == {"position": 3}


def test_fifty_characters_of_any_plane_are_a_name():
    assert names.normalise("𠮷" * 50) == "𠮷" * 50


def test_same_name():
    assert names.same_name("阿依古丽.买买提", "阿依古丽·买买提")
    assert names.same_name("JOHN SMITH", "John Smith")
    assert names.same_name("José", "Jose\u0301")
    assert not names.same_name("张三", "张四")
    assert not names.same_name("𠮷田", "吉田")
    with pytest.raises(NameInvalid):
        names.same_name("张三", "1")


@given(st.text(max_size=60))
def test_a_form_is_its_own_form(text):
    try:
        form = names.normalise(text)
    except NameInvalid:
        return
    assert names.normalise(form) == form
    assert names.same_name(text, form)


@given(st.text(st.sampled_from("张三𠮷Aé ·.•-'"), max_size=12))
def test_a_form_is_its_own_form_around_separators(text):
    test_a_form_is_its_own_form.hypothesis.inner_test(text)
