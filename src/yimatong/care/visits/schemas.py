"""Wire shapes of visits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.care.placed import PlacedBill
from yimatong.payments.orders.schemas import AmountFen, ExpiresInS, Items, Line, SourceNumber


class NewFee(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The registration fee (挂号费) of a visit that is booked; ``bill_no`` is the HIS's own number."""

    bill_no: SourceNumber
    description: Line = "挂号费"
    items: Items
    total_fen: AmountFen
    expires_in_s: ExpiresInS | None = None


class NewVisit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A visit to register. ``verification_id`` is the ``record_id`` that verifying the code answered.

    With a ``fee`` it is ``booked`` until the fee is paid, and released when its order is closed unpaid.
    """

    visit_no: SourceNumber
    verification_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]
    vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]
    department: Line
    doctor: Annotated[str, Meta(max_length=64, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")] = ""
    fee: NewFee | None = None


class VisitView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A visit. ``state``: booked, registered, finished, cancelled. ``fee``: the bill that was booked with it."""

    visit_no: str
    institution_id: str
    vuid: str
    kind: str
    department: str
    doctor: str
    visited_at: datetime
    state: str
    fee: PlacedBill | None = None
