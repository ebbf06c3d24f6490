"""Wire shapes of payables."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.payments.orders.schemas import Item, ReturnUrl, SourceNumber

Vuid = Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]
BILLS_MAX = 20


class Payable(msgspec.Struct, frozen=True, kw_only=True):
    """A bill that waits to be paid. ``patient`` is masked unless it is the resident herself.

    ``app_until``: until when an app may pay a prescription; afterwards a kiosk or window does. ``alone``: a deposit,
    the settlement of a stay or the fee of a booked visit, which is paid in an order of its own.
    """

    institution_id: str
    institution_name: str
    bill_no: str
    visit_no: str
    kind: str
    description: str
    items: list[Item]
    total_fen: int
    patient: str
    patient_vuid: str
    own: bool
    alone: bool
    app_until: datetime | None
    created_at: datetime


class Payables(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first. ``next`` is the cursor of the next page, empty at the end."""

    payables: list[Payable]
    total_fen: int
    next: str


class NewPayablesOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bills of one hospital to be paid in one payment, by one resident, for herself or whom she cares for.

    ``service_channel_id`` and ``terminal_no``: where the payment starts from; one of the caller's own service channels.
    """

    institution_id: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[!-~]+(?!\\n)$")]
    bills: Annotated[list[SourceNumber], Meta(min_length=1, max_length=BILLS_MAX)]
    payer_vuid: Vuid
    service_channel_id: Annotated[str, Meta(pattern=r"^(svc_[0-9a-f]{32})?(?!\n)$")] = ""
    terminal_no: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,32}(?!\n)$")] = ""
    proof: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?(?!\n)$")] = ""
    """By the terminal's key, or the merchant's, over the bills and their sum (docs/spec/service-channels.md)."""
    return_url: ReturnUrl = ""


class PayablesOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order that pays the bills; ``cashier_url`` opens the cashier page once.

    ``dropped``: bills that turned out to be paid by an earlier order, so they are not in this one.
    """

    order_no: str
    bills: list[str]
    dropped: list[str]
    amount_fen: int
    expires_at: datetime
    cashier_url: str
