"""Wire shapes of orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.kit.money import AMOUNT_FEN_MAX
from yimatong.payments.refunds.schemas import RefundView

EXPIRES_S_DEFAULT = 30 * 60
"""A prescription code is payable for thirty minutes; so is everything that does not say otherwise."""

Line = Annotated[str, Meta(min_length=1, max_length=127, pattern="^[^\\x00-\\x1f\\x7f]+(?!\\n)$")]
SourceNumber = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}(?!\n)$", description="the institution's own number")]
AmountFen = Annotated[int, Meta(ge=1, le=AMOUNT_FEN_MAX)]
ReturnUrl = Annotated[str, Meta(max_length=512, pattern=r"^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?)?(?!\n)$")]
ExpiresInS = Annotated[int, Meta(ge=60, le=7 * 86400)]


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of what is paid for; ``amount_fen`` is the whole line."""

    name: Line
    amount_fen: Annotated[int, Meta(ge=0, le=AMOUNT_FEN_MAX)]
    quantity: Annotated[int, Meta(ge=1, le=100_000)] = 1
    source_no: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}(?!\n)$")] = ""
    """The bill that the line belongs to, where one order pays several."""
    code: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,40}(?!\n)$")] = ""
    """The line's code in the catalogue of medical insurance, where the hospital gives one."""


Items = Annotated[list[Item], Meta(min_length=1, max_length=200)]


class NewOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order placed by an institution directly. ``source_no`` is unique among its orders that are not closed."""

    source_no: SourceNumber
    description: Line
    items: Items
    amount_fen: AmountFen
    expires_in_s: ExpiresInS = EXPIRES_S_DEFAULT
    vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")] | None = None
    service_channel_id: Annotated[str, Meta(pattern=r"^svc_[0-9a-f]{32}(?!\n)$")] | None = None
    """The service channel that the payment starts from; one of the caller's own."""
    terminal_no: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,32}(?!\n)$")] = ""
    """The window or kiosk; one of the service channel's own terminals."""
    proof: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?(?!\n)$")] = ""
    """By the terminal's key, or the merchant's where no terminal is named (docs/spec/service-channels.md)."""
    return_url: ReturnUrl = ""
    """Where the cashier's page leads back to when it is done; of the placing system itself, kept with the order."""


class PlacedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that can be paid now. ``cashier_url`` opens the cashier page once."""

    order_no: str
    state: str
    amount_fen: int
    expires_at: datetime
    cashier_url: str


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order and how far it is."""

    order_no: str
    institution_id: str
    source_kind: str
    source_id: str
    description: str
    items: list[Item]
    amount_fen: int
    state: str
    paid_fen: int
    refunded_fen: int
    late_fen: int
    channel: str
    channel_trade_no: str
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    closed_at: datetime | None
    refunds: list[RefundView] = []


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. ``next`` is the cursor of the next page, empty at the end."""

    orders: list[OrderView]
    next: str


class CashierLink(msgspec.Struct, frozen=True, kw_only=True):
    """A new link to the cashier page; it opens once."""

    cashier_url: str


class OrderStateView(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order stands."""

    order_no: str
    state: str
