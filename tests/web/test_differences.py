"""Where two texts differ: every character is in one piece, equal ones are never marked, symmetric in what is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yimatong.web import charts
from yimatong.web.console.differences import marked

TEXTS = st.text(alphabet="王小明亮·阿卜都1234567890X", max_size=30)


@given(TEXTS, TEXTS)
def test_pieces_are_the_texts(left, right):
    found = marked(left, right)
    assert "".join(text for text, _ in found.left) == left
    assert "".join(text for text, _ in found.right) == right
    same = ["".join(text for text, differs in side if not differs) for side in (found.left, found.right)]
    if found.standing in {"same", "differs"}:
        assert same[0] == same[1]
    assert (found.standing == "same") == (left == right != "")


def test_one_digit_and_one_character():
    found = marked("610102201503294187", "610102201503297187")
    assert [text for text, differs in found.left if differs] == ["4"]
    assert [text for text, differs in found.right if differs] == ["7"]
    assert [text for text, differs in marked("王小明", "王小亮").right if differs] == ["亮"]
    assert marked("张三", "李四").left == (("张三", True),)
    assert marked("", "张三").standing == "one"
    assert marked("", "").standing == "none"


@given(st.floats(-60, 60), st.floats(-30, 30))
def test_a_step_lies_on_its_axis(start, width):
    drawn = charts.step(start, start + width, low=-100, high=100, marks=(10.0,))
    assert 'class="up"' in drawn or 'class="down"' in drawn
    assert ("up" in drawn) == (start + width >= start)


def test_a_pyramid_says_what_it_hides():
    drawn = charts.pyramid(
        identity="p", title="t", description="d", rows=[("0-9", 20, None), ("10-19", 0, 40)], sides=("男", "女")
    )
    assert drawn.count("✱") == 1
    assert "0-9 男 20" in drawn
    assert "10-19 女 40" in drawn
