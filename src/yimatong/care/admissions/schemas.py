"""Wire shapes of stays in hospital."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.care.placed import PlacedBill
from yimatong.kit.money import AMOUNT_FEN_MAX
from yimatong.payments.orders.schemas import AmountFen, ExpiresInS, Item, Line, SourceNumber

Short = Annotated[str, Meta(max_length=64, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")]


class NewAdmission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stay to register (住院登记). ``verification_id`` is the ``record_id`` that verifying the code answered.

    ``admission_no`` is the HIS's own number; it must differ from its visits' numbers.
    """

    admission_no: SourceNumber
    verification_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]
    vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]
    department: Line
    ward: Short = ""
    bed: Short = ""
    doctor: Short = ""


class NewDeposit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deposit (预交金) that the hospital asks for; ``bill_no`` is the HIS's own number, of a bill like any other."""

    bill_no: SourceNumber
    amount_fen: AmountFen
    description: Line = "住院预交金"
    expires_in_s: ExpiresInS | None = None


class NewSettlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settlement on discharge. ``total_fen``: what the patient owes for the stay before deposits.

    ``settlement_no`` is the HIS's own number and becomes the number of the bill for what deposits do not cover.
    ``items`` are what the stay's receipt lists (床位费, 检查费 ...); they add up to ``total_fen``. None: one line.
    """

    settlement_no: SourceNumber
    total_fen: Annotated[int, Meta(ge=0, le=AMOUNT_FEN_MAX)]
    description: Line = "出院结算"
    items: Annotated[list[Item], Meta(max_length=200)] = []
    expires_in_s: ExpiresInS | None = None


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What went back of a deposit, or is on its way back."""

    refund_no: str
    amount_fen: int
    state: str


class DepositView(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit. ``left_fen``: paid, and neither used for the stay nor on its way back."""

    bill_no: str
    order_no: str
    state: str
    amount_fen: int
    paid_fen: int
    used_fen: int
    left_fen: int
    created_at: datetime
    refunds: list[Returned]


class SettlementView(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement: ``total_fen`` = ``used_fen`` of the deposits + ``due_fen`` to be paid now (the bill ``bill_no``).

    ``back_fen`` of the deposits goes back to whoever paid them; each deposit shows its refunds. The receipt of the stay
    is that of the order ``receipt_order_no``: the bill's, or the last deposit's where deposits covered everything.
    """

    settlement_no: str
    total_fen: int
    used_fen: int
    due_fen: int
    back_fen: int
    bill_no: str
    receipt_order_no: str
    settled_at: datetime


class AdmissionView(msgspec.Struct, frozen=True, kw_only=True):
    """A stay with its deposits, oldest first. ``left_fen``: what the hospital still holds of them."""

    admission_no: str
    institution_id: str
    vuid: str
    department: str
    doctor: str
    ward: str
    bed: str
    state: str
    deposits: list[DepositView]
    left_fen: int
    settlement: SettlementView | None
    created_at: datetime


class SettledStay(msgspec.Struct, frozen=True, kw_only=True):
    """The stay after its settlement; ``due`` is the bill to be paid now, told when it is made."""

    admission: AdmissionView
    due: PlacedBill | None
