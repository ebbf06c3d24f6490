"""Money is a whole number of fen. Yuan appear only as text, at the edges."""

from __future__ import annotations

import re
from decimal import Decimal

from yimatong.kit.errors import Refusal

AMOUNT_FEN_MAX = 10**12
"""Ten thousand million yuan: far above any bill, far below the range of BIGINT."""

_YUAN = re.compile(r"-?\d{1,12}(\.\d{1,2})?", re.ASCII)


class AmountInvalid(Refusal):
    """Not an amount in yuan with at most two decimals, or outside the limits."""

    code = "KIT-1101"
    zh = "金额不合法：{detail}"
    en = "not a valid amount: {detail}"


def yuan(amount_fen: int) -> str:
    """Return fen as yuan with two decimals and thousands marks: ``1234567`` -> ``12,345.67``."""
    sign = "-" if amount_fen < 0 else ""
    whole, fraction = divmod(abs(amount_fen), 100)
    return f"{sign}{whole:,}.{fraction:02d}"


def plain_yuan(amount_fen: int) -> str:
    """Return fen as yuan with two decimals and no thousands marks, as bills write it."""
    return yuan(amount_fen).replace(",", "")


def parse_yuan(text: str) -> int:
    """Return the fen of a text such as ``12.30``.

    Raises:
        AmountInvalid: more than two decimals, other characters, or beyond ``AMOUNT_FEN_MAX``.
    """
    cleaned = text.strip()
    if not _YUAN.fullmatch(cleaned):
        raise AmountInvalid(detail=text[:32])
    amount_fen = int(Decimal(cleaned) * 100)
    if abs(amount_fen) > AMOUNT_FEN_MAX:
        raise AmountInvalid(detail=text[:32])
    return amount_fen
