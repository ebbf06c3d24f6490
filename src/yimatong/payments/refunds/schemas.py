"""Wire shapes of refunds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.kit.money import AMOUNT_FEN_MAX


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money to return. ``request_no`` is the institution's own number: the same one never moves money twice."""

    order_no: Annotated[str, Meta(pattern=r"^P[0-9]{20}(?!\n)$")]
    request_no: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}(?!\n)$")]
    amount_fen: Annotated[int, Meta(ge=1, le=AMOUNT_FEN_MAX)]
    reason: Annotated[str, Meta(min_length=1, max_length=80, pattern="^[^\\x00-\\x1f\\x7f]+(?!\\n)$")]


class RefundView(msgspec.Struct, frozen=True, kw_only=True):
    """A refund and how far it is. ``kind`` is ``asked`` or ``late``."""

    refund_no: str
    order_no: str
    request_no: str
    kind: str
    amount_fen: int
    reason: str
    state: str
    channel_refund_no: str
    requested_at: datetime
    succeeded_at: datetime | None
