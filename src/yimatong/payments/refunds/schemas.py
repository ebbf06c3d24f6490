"""Wire shapes of refunds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.kit.money import AMOUNT_FEN_MAX

Fen = Annotated[int, Meta(ge=1, le=AMOUNT_FEN_MAX)]
ComponentName = Annotated[str, Meta(pattern="^[a-z][a-z_]{0,31}(?!\\n)$")]


class RefundItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes back of one line of the order; lines count from 1."""

    line: Annotated[int, Meta(ge=1, le=200)]
    amount_fen: Fen


class RefundPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes back of one part of the order. ``components``: of an insurance part, e.g. ``fund_fen``."""

    part: Literal["cash", "insurance", "commercial"]
    amount_fen: Fen
    components: Annotated[dict[ComponentName, Annotated[int, Meta(ge=0, le=AMOUNT_FEN_MAX)]], Meta(max_length=8)] = {}


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money to return. ``request_no`` is the institution's own number: the same one never moves money twice.

    Without ``parts`` it comes from the payer's own part, or from every part when it is all that is left. ``items`` say
    which lines it is for; an order that pays several bills needs them.
    """

    order_no: Annotated[str, Meta(pattern=r"^P[0-9]{20}(?!\n)$")]
    request_no: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}(?!\n)$")]
    amount_fen: Fen
    reason: Annotated[str, Meta(min_length=1, max_length=80, pattern="^[^\\x00-\\x1f\\x7f]+(?!\\n)$")]
    parts: Annotated[list[RefundPart], Meta(max_length=3)] = []
    items: Annotated[list[RefundItem], Meta(max_length=200)] = []


class RefundView(msgspec.Struct, frozen=True, kw_only=True):
    """A refund and how far it is. ``kind`` is ``asked``, ``late`` or ``reversal``.

    ``together``: the numbers of all refunds of one request, one for each part of the order that it comes from.
    """

    refund_no: str
    order_no: str
    request_no: str
    kind: str
    part: str
    components: Mapping[str, int]
    amount_fen: int
    reason: str
    state: str
    channel_refund_no: str
    requested_at: datetime
    succeeded_at: datetime | None
    together: list[str] = []
