"""Charts are drawn from their numbers, and say them to those who cannot see."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from yimatong.web.charts import Series, bar, columns, nice_top, short_number

_SPACE = "{http://www.w3.org/2000/svg}"


@given(st.integers(0, 10**12))
def test_top_is_round_and_enough(highest):
    top = nice_top(highest)
    assert top >= highest
    assert top % 4 == 0
    assert top <= max(4, highest * 2.5)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=24))
def test_heights_are_in_proportion(values):
    first, second = zip(*values, strict=True)
    drawn = columns(
        identity="c",
        title='a < b & "c"',
        description="d",
        labels=[str(i) for i in range(len(values))],
        series=[Series(name="甲", style="s1", values=first), Series(name="<乙>", style="s2", values=second)],
    )
    tree = ET.fromstring(drawn)
    assert tree.find(f"{_SPACE}title").text == 'a < b & "c"'
    top = nice_top(max(a + b for a, b in values))
    heights = [float(rect.get("height")) for rect in tree.iter(f"{_SPACE}rect")]
    expected = [n / top * 158 for a, b in values for n in (a, b) if n]
    assert all(abs(drawn - wanted) <= 0.051 for drawn, wanted in zip(heights, expected, strict=True))
    tips = [rect.find(f"{_SPACE}title").text for rect in tree.iter(f"{_SPACE}rect")]
    assert len(tips) == len(expected)


def test_nothing_happened():
    drawn = columns(identity="c", title="t", description="d", labels=["00"], series=[])
    assert "<rect" not in drawn
    assert bar(0, 0).count("width=") == 3
    assert 'width="0.00%"' in bar(0, 0)


def test_small_share_is_still_seen():
    assert float(re.search(r'class="s1" width="([\d.]+)%"', bar(1, 10**9))[1]) >= 0.8


def test_axis_labels():
    assert [short_number(n) for n in (0, 800, 1000, 1500, 20_000, 4_000_000, 1234)] == [
        "0",
        "800",
        "1k",
        "1.5k",
        "20k",
        "4M",
        "1234",
    ]
