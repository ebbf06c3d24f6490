"""The numbers that orders, attempts and refunds are known by: pure.

An attempt's and a refund's number begin with the order's, so whatever a channel tells us is found by the order number
alone, which is the distribution key. All fit WeChat Pay's 32 characters (letters and digits only, so every channel
takes them).
"""

from __future__ import annotations

import re
from typing import Final

from yimatong.payments.errors import OrderNotFound

ATTEMPTS_MAX: Final = 20
REFUNDS_MAX: Final = 50
"""WeChat Pay's own limit of partial refunds for one payment."""

_ORDER = re.compile(r"P\d{20}", re.ASCII)
_PART = re.compile(r"(P\d{20})[ALR]\d{2}", re.ASCII)


def attempt_no(order_no: str, sequence: int) -> str:
    """Return the number of an order's attempt; ``sequence`` counts from 1."""
    return f"{order_no}A{sequence:02d}"


def refund_no(order_no: str, sequence: int) -> str:
    """Return the number of an order's refund; ``sequence`` counts from 1."""
    return f"{order_no}R{sequence:02d}"


def leg_no(order_no: str, sequence: int) -> str:
    """Return the number under which an insurer is asked what it pays; ``sequence`` counts from 1."""
    return f"{order_no}L{sequence:02d}"


def order_of(part_no: str) -> str:
    """Return the order that an attempt, a refund or an insurer's question belongs to.

    Raises:
        OrderNotFound: not a number of ours.
    """
    found = _PART.fullmatch(part_no)
    if found is None:
        raise OrderNotFound
    return found[1]


def is_leg_no(text: str) -> bool:
    """Say whether a number names an insurer's question."""
    return _PART.fullmatch(text) is not None and text[-3] == "L"


def is_attempt_no(text: str) -> bool:
    """Say whether a number names an attempt."""
    return _PART.fullmatch(text) is not None and text[-3] == "A"


def require_order_no(text: str) -> str:
    """Return ``text`` when it can be an order number.

    Raises:
        OrderNotFound: it cannot, so there is no such order.
    """
    if _ORDER.fullmatch(text) is None:
        raise OrderNotFound
    return text
