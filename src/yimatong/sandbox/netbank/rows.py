"""What the banks remember: one struct per table."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from yimatong.sandbox.notifying import SentNotice

BankName = Literal["icbc", "generic"]


class BankRefusal(Exception):
    """A refusal as the bank answers it: its code, and a sentence."""

    def __init__(self, *, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Merchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merchant at a bank; ``mer_cert`` is its certificate (X.509 DER, base64), as every form carries it."""

    bank: BankName
    mer_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{1,32}(?!\n)$")]
    mer_acct: str
    mer_cert: str
    name: str = "模拟医院"

    @property
    def key(self) -> str:
        """Return the key of the row."""
        return f"{self.bank}/{self.mer_id}"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a payer's browser brought: unpaid, paid or failed (one try); ``token`` names its page."""

    bank: str
    mer_id: str
    orderid: str
    order_date: str
    amount_fen: int
    goods_name: str
    mer_url: str
    mer_var: str
    return_url: str
    token: str
    digest: str
    expires_at: datetime
    state: str = "unpaid"
    serial: str = ""
    paid_at: datetime | None = None
    refunded_fen: int = 0

    @property
    def key(self) -> str:
        """Return the key of the row: a number is unique within its merchant."""
        return f"{self.bank}/{self.mer_id}/{self.orderid}"


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund: processing, done, failed."""

    bank: str
    mer_id: str
    refund_no: str
    orderid: str
    amount_fen: int
    bank_refund_no: str
    settles_at: datetime
    settles_as: str
    state: str = "processing"
    finished_at: datetime | None = None

    @property
    def key(self) -> str:
        """Return the key of the row."""
        return f"{self.bank}/{self.mer_id}/{self.refund_no}"


class Notice(SentNotice, frozen=True, kw_only=True):
    """A notice: pending, delivered, given_up or dropped. ``answer`` is what the merchant gave to be shown."""

    order_key: str
    tran_stat: str
    last_status: int = 0
    answer: str = ""
    answered_in_s: float = 0.0


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the banks behave until told otherwise, in seconds. ``business_offset_s`` moves their clock."""

    business_offset_s: float = 0.0
    refund_settles_s: float = 1.0
    notice_factor: float = 1.0
    notice_delay_s: float = 0.0
    """More than nothing makes notices late: the page is shown without waiting for them."""


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong next. Counts go down as they strike, ``-1`` strikes until reset; forgotten at a restart."""

    path: str = ""
    hang_s: float = 15.0
    answer_5xx: int = 0
    garbage: int = 0
    lost_answers: int = 0
    timeout_after_acting: int = 0
    unsigned_answers: int = 0
    wrong_signatures: int = 0
    replayed_answers: int = 0
    busy: int = 0
    read_lag: int = 0
    refund_fails: int = 0
    broken_files: int = 0
    drop_notices: int = 0
    duplicate_notices: int = 0

    def strikes(self, name: str, path: str = "") -> bool:
        """Say whether fault ``name`` strikes now, and count it down."""
        left = int(getattr(self, name))
        if left == 0 or self.path not in path:
            return False
        if left > 0:
            setattr(self, name, left - 1)
        return True
