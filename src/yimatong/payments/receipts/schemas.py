"""Wire shapes of electronic receipts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from yimatong.payments.orders.schemas import Item


class ReceiptView(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt. ``state``: asked (under way), issued, refused (``cause`` says why). ``red``: of a refund, negative."""

    request_no: str
    kind: Literal["blue", "red"]
    state: Literal["asked", "issued", "refused"]
    amount_fen: int
    amount_in_words: str
    receipt_code: str
    receipt_no: str
    check_code: str
    check_url: str
    cause: str
    issued_at: datetime | None


class DepositSlip(msgspec.Struct, frozen=True, kw_only=True):
    """The slip of an inpatient's deposit (预交金收据): no receipt of the finance department, and not income yet.

    ``used_fen`` paid for the stay, ``returned_fen`` went back or is on its way back; the rest is held (``held_fen``).
    """

    order_no: str
    source_id: str
    amount_fen: int
    amount_in_words: str
    used_fen: int
    returned_fen: int
    held_fen: int
    channel: str
    channel_trade_no: str
    paid_at: datetime


class NamedSlip(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit's slip with whose it is; ``payer`` is empty where no patient is known."""

    slip: DepositSlip
    institution_name: str
    payer: str


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """The receipts of an order: the payment's first, then those of refunds.

    ``deposit``: the slip of an order that paid a deposit. It has a receipt only where the deposits paid a whole stay:
    that of the stay, with the last deposit that paid.
    """

    order_no: str
    receipts: list[ReceiptView]
    deposit: DepositSlip | None = None


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """What the receipt of a settled stay in hospital says of it beside who paid: 住院号, 科别, 时间, 预缴, 补缴, 退费.

    ``prepaid_fen`` (paid in deposits) + ``due_fen`` (paid at the end) - ``back_fen`` (returned) is what the stay cost
    the patient; ``items`` add up to that.
    """

    admission_no: str
    department: str
    admitted_at: datetime
    settled_at: datetime
    prepaid_fen: int
    due_fen: int
    back_fen: int
    items: tuple[Item, ...]

    @property
    def total_fen(self) -> int:
        """Return what the stay cost the patient."""
        return self.prepaid_fen + self.due_fen - self.back_fen


class PaidBy(msgspec.Struct, frozen=True, kw_only=True):
    """The source whose order a stay's receipt is issued for (see ``payments.sources``).

    ``order_no``: the order, where it is paid already; empty where the receipt waits for it.
    """

    institution_id: str
    source_kind: str
    source_id: str
    order_no: str
