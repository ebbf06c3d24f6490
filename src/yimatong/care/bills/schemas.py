"""Wire shapes of bills."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from yimatong.care.placed import CodeImage
from yimatong.payments.orders.schemas import AmountFen, ExpiresInS, Item, Items, Line, SourceNumber


class NewBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bill of a visit. ``bill_no`` is the HIS's own number; ``total_fen`` must be the sum of the items.

    ``kind``: 挂号费, 门诊/诊间缴费, or 处方. ``expires_in_s``: half an hour unless said otherwise;
    a prescription's a day, of which half an hour in apps. ``code_image``: how its code is drawn for printing.
    """

    visit_no: SourceNumber
    bill_no: SourceNumber
    kind: Literal["registration", "clinic", "prescription"] = "clinic"
    description: Line
    items: Items
    total_fen: AmountFen
    expires_in_s: ExpiresInS | None = None
    code_image: CodeImage = "none"


class NewBillOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new order for a bill whose order expired unpaid."""

    expires_in_s: ExpiresInS | None = None


class BillView(msgspec.Struct, frozen=True, kw_only=True):
    """A bill and how far it is. ``used_fen``: what of a deposit has paid for the stay."""

    bill_no: str
    visit_no: str
    kind: str
    order_no: str
    description: str
    items: list[Item]
    total_fen: int
    state: str
    paid_fen: int
    refunded_fen: int
    used_fen: int
    app_until: datetime | None
    paid_at: datetime | None
    created_at: datetime


class VisitBills(msgspec.Struct, frozen=True, kw_only=True):
    """Every bill of a visit, oldest first."""

    bills: list[BillView]
