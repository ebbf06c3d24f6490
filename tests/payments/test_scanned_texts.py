"""Whose code a window's scanner read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.payments.errors import ScannedUnreadable
from yimatong.payments.scanning.reading import channel_of

VUID = "A" * 64


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("134567890123456789\r\n", "wechat"),
        ("101234567890123456", "wechat"),
        ("2812345678901234", "alipay"),
        ("301234567890123456789012", "alipay"),
        ("6212345678901234567", "unionpay"),
        (f"{VUID}:0:{'0' * 32}", "card"),
        (f"{VUID.lower()}：0：{'0' * 32}:P.abc", "card"),
        (VUID, "card"),
    ],
)
def test_known_codes(text, channel) -> None:
    assert channel_of(text) == channel


@pytest.mark.parametrize("text", ["", "134567890", "164567890123456789", "63" + "0" * 17, "https://a.test/1", VUID[1:]])
def test_other_texts_are_refused(text) -> None:
    with pytest.raises(ScannedUnreadable):
        channel_of(text)


@given(st.text(max_size=400))
def test_any_text_has_an_answer(text) -> None:
    with contextlib.suppress(ScannedUnreadable):
        assert channel_of(text) in {"wechat", "alipay", "unionpay", "card"}
