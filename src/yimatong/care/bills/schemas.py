"""Wire shapes of bills."""

from __future__ import annotations

from datetime import datetime

import msgspec

from yimatong.payments.orders.schemas import EXPIRES_S_DEFAULT, AmountFen, ExpiresInS, Item, Items, Line, SourceNumber


class NewBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bill of a visit. ``bill_no`` is the HIS's own number; ``total_fen`` must be the sum of the items."""

    visit_no: SourceNumber
    bill_no: SourceNumber
    description: Line
    items: Items
    total_fen: AmountFen
    expires_in_s: ExpiresInS = EXPIRES_S_DEFAULT


class NewBillOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new order for a bill whose order expired unpaid."""

    expires_in_s: ExpiresInS = EXPIRES_S_DEFAULT


class PlacedBill(msgspec.Struct, frozen=True, kw_only=True):
    """A bill that can be paid now; ``cashier_url`` opens the cashier page once."""

    bill_no: str
    visit_no: str
    order_no: str
    total_fen: int
    state: str
    expires_at: datetime
    cashier_url: str


class BillView(msgspec.Struct, frozen=True, kw_only=True):
    """A bill and how far it is."""

    bill_no: str
    visit_no: str
    order_no: str
    description: str
    items: list[Item]
    total_fen: int
    state: str
    paid_fen: int
    refunded_fen: int
    paid_at: datetime | None
    created_at: datetime


class VisitBills(msgspec.Struct, frozen=True, kw_only=True):
    """Every bill of a visit, oldest first."""

    bills: list[BillView]
