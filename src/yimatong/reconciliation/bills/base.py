"""What every bill is read into. Pure.

Amounts are whole fen and never negative: ``kind`` says which way the money went. Fees are Decimal yuan with at most
five decimals, negative when the channel gave a fee back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

PAYMENT: Final = "payment"
REFUND: Final = "refund"


class BillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One movement on a bill. ``number`` is our own: the attempt of a payment, the refund number of a refund.

    ``state`` uses the platform's word where the channel's means the same, else the channel's in lower case.
    ``fee_due`` is what the bill's own rate gives for this amount, or None where the bill names no rate.
    """

    line: int
    kind: str
    number: str
    channel_no: str
    amount_fen: int
    fee: Decimal
    fee_due: Decimal | None
    state: str
    at: datetime


class Staging(msgspec.Struct, frozen=True, kw_only=True):
    """The same bill in DuckDB's words.

    ``detail`` are the bytes between header and summary, ``lines`` of them. ``select`` turns ``raw(line, text)`` into
    typed rows and ``valid``; ``sums`` adds them up; ``check`` compares that sum with the summary and raises.
    """

    detail: bytes
    lines: int
    select: str
    sums: str
    check: Callable[[Sequence[object]], None]
