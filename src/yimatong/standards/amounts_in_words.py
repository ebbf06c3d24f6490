"""Amounts of money in Chinese capitals (大写金额), as bills and receipts carry them beside the figures.

Follows 《支付结算办法》(银发〔1997〕393号) 附件一《正确填写票据和结算凭证的基本规定》: 整 after a whole yuan, none
after 分; one 零 for any run of zeros between digits; 零 before 分 where there is no 角. Where the rule leaves a choice
(a zero just before 角, 整 after 角) none is written.
"""

from __future__ import annotations

from typing import Final

AMOUNT_FEN_MAX: Final = 10**14 - 1
_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_PLACES: Final = ("", "拾", "佰", "仟")
_SECTIONS: Final = ("", "万", "亿")


def in_capitals(amount_fen: int) -> str:
    """Return fen in Chinese capitals: ``1640902`` -> ``壹万陆仟肆佰零玖元零贰分``; negative ones begin with 负.

    Raises:
        ValueError: beyond 9999 亿 yuan.
    """
    if abs(amount_fen) > AMOUNT_FEN_MAX:
        message = "an amount beyond what can be written"
        raise ValueError(message)
    sign = "负" if amount_fen < 0 else ""
    yuan, rest = divmod(abs(amount_fen), 100)
    jiao, fen = divmod(rest, 10)
    words = f"{_whole(yuan)}元" if yuan or not rest else ""
    if not rest:
        return f"{sign}{words}整"
    if jiao:
        words += f"{_DIGITS[jiao]}角"
    elif words:
        words += "零"
    if fen:
        words += f"{_DIGITS[fen]}分"
    return sign + words


def _whole(yuan: int) -> str:
    if not yuan:
        return "零"
    text, words, gap = str(yuan), "", False
    for number, digit in enumerate(text):
        place = len(text) - 1 - number
        if digit == "0":
            gap = True
        else:
            words += ("零" if gap else "") + _DIGITS[int(digit)] + _PLACES[place % 4]
            gap = False
        if place % 4 == 0 and text[max(0, number - 3) : number + 1].strip("0"):
            words += _SECTIONS[place // 4]
    return words
