import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.standards import variants


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("張偉", "张伟"),
        ("陳國慶", "陈国庆"),
        ("劉曉燕", "刘晓燕"),
        ("林志峯", "林志峰"),
        ("王喆", "王哲"),
        ("于謙", "于谦"),
        ("乾隆", "干隆"),  # character by character: a name has no context in which 乾 would stay
        ("阿依古丽·买买提", "阿依古丽买买提"),
        ("阿依古丽•买买提", "阿依古丽买买提"),
        ("阿依古丽．买买提", "阿依古丽买买提"),
        ("阿依古丽 买买提", "阿依古丽买买提"),
        ("张 伟", "张伟"),
        ("ＺＨＡＮＧ Wei", "zhangwei"),
        ("𠮷田", "𠮷田"),
    ],
)
def test_one_form(written, form):
    assert variants.canonical(written) == form


def test_parts_of_a_name():
    assert variants.parts("阿依古麗•買買提") == ("阿依古丽", "买买提")
    assert variants.parts("张伟") == ("张伟",)
    assert variants.parts(" ") == ()


@given(st.text(st.sampled_from("张偉于於·•. -'éÀ𠮷峯乾ＡZb\u3000"), max_size=20))
def test_a_form_is_its_own_form(text):
    form = variants.canonical(text)
    assert variants.canonical(form) == form
