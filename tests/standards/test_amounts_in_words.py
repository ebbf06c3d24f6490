"""Amounts in capitals: the examples that the rule itself prints, zeros of every kind, and a reader of our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.standards.amounts_in_words import AMOUNT_FEN_MAX, in_capitals

# 支付结算办法 附件一 prints these six (of two ways that it allows, the one without the optional 零).
PRINTED = {
    140950: "壹仟肆佰零玖元伍角",
    600714: "陆仟零柒元壹角肆分",
    168032: "壹仟陆佰捌拾元叁角贰分",
    10700053: "壹拾万零柒仟元伍角叁分",
    1640902: "壹万陆仟肆佰零玖元零贰分",
    32504: "叁佰贰拾伍元零肆分",
}
ZEROS = {
    0: "零元整",
    1: "壹分",
    10: "壹角",
    100: "壹元整",
    101: "壹元零壹分",
    1000: "壹拾元整",
    1050000: "壹万零伍佰元整",
    10000000: "壹拾万元整",
    100000100: "壹佰万零壹元整",
    10000000000: "壹亿元整",
    10000000100: "壹亿零壹元整",
    10001000000: "壹亿零壹万元整",
    1000000000000: "壹佰亿元整",
    999999999: "玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分",
    -1000: "负壹拾元整",
}
DIGITS, UNITS = "零壹贰叁肆伍陆柒捌玖", {"拾": 10, "佰": 100, "仟": 1000}


@pytest.mark.parametrize(("amount_fen", "words"), [*PRINTED.items(), *ZEROS.items()])
def test_vectors(amount_fen, words):
    assert in_capitals(amount_fen) == words


def read(words: str) -> int:
    """Read capitals back, knowing nothing of how they were written."""
    sign, text = (-1, words[1:]) if words.startswith("负") else (1, words)
    whole, _, rest = text.rpartition("元")
    fen = sum(
        DIGITS.index(rest[at - 1]) * worth for name, worth in (("角", 10), ("分", 1)) if (at := rest.find(name)) > 0
    )
    total = section = digit = 0
    for char in whole:
        if char in DIGITS:
            digit = DIGITS.index(char)
        elif char in UNITS:
            section, digit = section + digit * UNITS[char], 0
        else:
            worth = {"万": 10**4, "亿": 10**8}[char]
            total, section, digit = total + (section + digit) * worth, 0, 0
    return sign * ((total + section + digit) * 100 + fen)


@given(st.integers(0, 10**9) | st.sampled_from([10**n for n in range(11)]))
def test_read_back(amount_fen):
    assert read(in_capitals(amount_fen)) == amount_fen
    assert "零零" not in in_capitals(amount_fen)
    assert in_capitals(amount_fen).endswith(("整", "角", "分"))


def test_beyond_what_can_be_written():
    assert in_capitals(AMOUNT_FEN_MAX).startswith("玖仟玖佰玖拾玖亿")
    with pytest.raises(ValueError, match="beyond"):
        in_capitals(AMOUNT_FEN_MAX + 1)
