"""Whose payment code a text is: pure.

Sources: 微信支付 付款码支付 (18 digits beginning 10 to 15), 支付宝 当面付 (16 to 24 digits beginning 25 to 30),
银联二维码 付款码 (19 digits beginning 62). Everything with a colon, and bare VUIDs, are health-card codes.
"""

from __future__ import annotations

import re
from typing import Final

from yimatong.payments.errors import ScannedUnreadable

CARD: Final = "card"
_PATTERNS: Final = (
    ("wechat", re.compile(r"1[0-5]\d{16}", re.ASCII)),
    ("alipay", re.compile(r"(2[5-9]|30)\d{14,22}", re.ASCII)),
    ("unionpay", re.compile(r"62\d{17}", re.ASCII)),
    (CARD, re.compile(r"[0-9A-Fa-f]{64}[:：].+|[0-9A-Fa-f]{64}", re.ASCII | re.DOTALL)),
)


def channel_of(text: str) -> str:
    """Return the payment channel whose payment code a scanned text is, or ``card`` for a health-card code.

    Raises:
        ScannedUnreadable: it is neither.
    """
    cleaned = text.strip("\r\n\t ")
    for name, pattern in _PATTERNS:
        if pattern.fullmatch(cleaned):
            return name
    raise ScannedUnreadable
