"""What Alipay remembers: one struct per table, and the replies and notices made from them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from yimatong.kit.clock import BEIJING
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.notifying import SentNotice

OFFERED, WAITING, PAID, CLOSED, FINISHED = (
    "OFFERED",
    "WAIT_BUYER_PAY",
    "TRADE_SUCCESS",
    "TRADE_CLOSED",
    "TRADE_FINISHED",
)
"""``OFFERED`` is ours: a code was given out and nobody has scanned it, so there is no trade yet."""


class AlipayError(Exception):
    """A refusal as Alipay replies it: code, finer code, text."""

    def __init__(self, code: int, sub_code: str, sub_msg: str) -> None:
        super().__init__(f"{code} {sub_code} {sub_msg}")
        self.code = str(code)
        self.sub_code = sub_code
        self.sub_msg = sub_msg

    def answer(self) -> dict[str, str]:
        """Return the node of the reply."""
        words = {"40004": "Business Failed", "40002": "Invalid Arguments", "20000": "Service Currently Unavailable"}
        msg = words.get(self.code, "Insufficient Conditions")
        return {"code": self.code, "msg": msg, "sub_code": self.sub_code, "sub_msg": self.sub_msg}


class Merchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app of a merchant; ``pid`` is who is paid (2088...)."""

    app_id: Annotated[str, msgspec.Meta(pattern=r"^\d{1,32}(?!\n)$")]
    pid: Annotated[str, msgspec.Meta(pattern=r"^2088\d{12}(?!\n)$")]
    public_key_pem: str
    name: str = "模拟医院"


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade. ``digest`` is the hash of what placed it; ``token`` opens its payer page."""

    app_id: str
    pid: str
    out_trade_no: str
    method: str
    subject: str
    total_fen: int
    notify_url: str
    return_url: str
    time_expire: datetime | None
    digest: str
    token: str
    created_at: datetime
    status: str
    terminal_id: str = ""
    trade_no: str = ""
    buyer_id: str = ""
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    refunded_fen: int = 0
    refunded_at: datetime | None = None
    last_refund_no: str = ""

    @property
    def key(self) -> str:
        """Return the key of the row: a number is unique within its app."""
        return f"{self.app_id}/{self.out_trade_no}"

    def answer(self) -> dict[str, Any]:
        """Return the node of a query."""
        received = self.total_fen if self.paid_at is not None else 0
        facts: dict[str, Any] = {
            "code": "10000",
            "msg": "Success",
            "buyer_logon_id": "159****5620",
            "buyer_pay_amount": plain_yuan(received),
            "buyer_user_id": self.buyer_id,
            "buyer_user_type": "PRIVATE",
            "invoice_amount": plain_yuan(received),
            "out_trade_no": self.out_trade_no,
            "point_amount": "0.00",
            "receipt_amount": plain_yuan(received),
            "total_amount": plain_yuan(self.total_fen),
            "trade_no": self.trade_no,
            "trade_status": self.status,
        }
        if self.paid_at is not None:
            facts["send_pay_date"] = beijing(self.paid_at)
            facts["fund_bill_list"] = [{"amount": plain_yuan(self.total_fen), "fund_channel": "ALIPAYACCOUNT"}]
        return facts

    def taken(self) -> dict[str, Any]:
        """Return the node of trade.pay: a query's without the status, the time under its own name."""
        facts = self.answer()
        del facts["trade_status"]
        facts["gmt_payment"] = facts.pop("send_pay_date", "")
        return facts

    def notice(self) -> dict[str, str]:
        """Return what a trade_status_sync tells, before id, time and signature."""
        facts = {
            "notify_type": "trade_status_sync",
            "app_id": self.app_id,
            "auth_app_id": self.app_id,
            "charset": "utf-8",
            "version": "1.0",
            "trade_no": self.trade_no,
            "out_trade_no": self.out_trade_no,
            "buyer_id": self.buyer_id,
            "buyer_logon_id": "159****5620",
            "seller_id": self.pid,
            "seller_email": "hospital@example.com",
            "trade_status": self.status,
            "subject": self.subject,
            "total_amount": plain_yuan(self.total_fen),
            "gmt_create": beijing(self.created_at),
        }
        if self.paid_at is not None:
            received = plain_yuan(self.total_fen)
            facts |= {"receipt_amount": received, "buyer_pay_amount": received, "gmt_payment": beijing(self.paid_at)}
            facts["fund_bill_list"] = f'[{{"amount":"{received}","fundChannel":"ALIPAYACCOUNT"}}]'
        if self.closed_at is not None:
            facts["gmt_close"] = beijing(self.closed_at)
        if self.refunded_at is not None:
            facts |= {"refund_fee": plain_yuan(self.refunded_fen), "gmt_refund": f"{beijing(self.refunded_at)}.371"}
            facts["out_biz_no"] = self.last_refund_no
        return facts


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund. ``status``: PROCESSING, REFUND_SUCCESS or FAILED (then it is as if it had never been asked for)."""

    app_id: str
    out_trade_no: str
    out_request_no: str
    refund_fen: int
    reason: str
    asked_at: datetime
    status: str = "PROCESSING"
    refunded_at: datetime | None = None
    dback_status: str = ""

    @property
    def key(self) -> str:
        """Return the key of the row: a number is unique within its trade."""
        return f"{self.app_id}/{self.out_trade_no}/{self.out_request_no}"


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """A password-free agreement; before the payer agrees there is a page (``OFFERED``) and nothing else."""

    app_id: str
    pid: str
    external_agreement_no: str
    personal_product_code: str
    sign_scene: str
    notify_url: str
    return_url: str
    token: str
    created_at: datetime
    status: str = OFFERED
    agreement_no: str = ""
    buyer_id: str = ""

    @property
    def key(self) -> str:
        """Return the key of the row."""
        return f"{self.app_id}/{self.external_agreement_no}"

    def answer(self) -> dict[str, Any]:
        """Return the node of a query."""
        return {
            "code": "10000",
            "msg": "Success",
            "agreement_no": self.agreement_no,
            "external_agreement_no": self.external_agreement_no,
            "personal_product_code": self.personal_product_code,
            "sign_scene": self.sign_scene,
            "principal_id": self.buyer_id,
            "status": self.status,
            "sign_time": beijing(self.created_at),
        }

    def notice(self, notify_type: str) -> dict[str, str]:
        """Return what a notice about the agreement tells; it names no seller."""
        return {
            "notify_type": notify_type,
            "app_id": self.app_id,
            "auth_app_id": self.app_id,
            "charset": "utf-8",
            "version": "1.0",
            "agreement_no": self.agreement_no,
            "external_agreement_no": self.external_agreement_no,
            "personal_product_code": self.personal_product_code,
            "sign_scene": self.sign_scene,
            "alipay_user_id": self.buyer_id,
            "status": "UNSIGN" if notify_type == "dut_user_unsign" else "NORMAL",
        }


class Notice(SentNotice, frozen=True, kw_only=True):
    """A notice on its way. ``state``: pending, delivered, given_up or dropped (by a fault)."""

    app_id: str
    url: str
    facts: dict[str, str]
    created_at: datetime
    last_answer: str = ""
    forged_answer: str = ""
    """What the merchant answered to a forged copy; ``success`` means that it does not verify."""


class BillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the business bill: a payment (``refund_no`` empty) or a refund."""

    app_id: str
    pid: str
    moment: datetime
    created_at: datetime
    trade_no: str
    out_trade_no: str
    subject: str
    total_fen: int
    fee_yuan: Decimal
    buyer_id: str
    terminal_id: str = ""
    refund_no: str = ""


class ClosedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A business day whose bills are written; ``files`` are the merchants and types that have one."""

    date: str
    seed: int
    files: list[str]
    planted: list[dict[str, Any]]
    carried: tuple[BillRow, ...] = ()


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lasting conditions of the simulated world. Offsets and delays in seconds.

    ``timestamp_window_s`` is how far a request's time stamp may be off: Alipay refuses strange ones
    (``isv.invalid-timestamp``) without publishing the limit.
    """

    business_offset_s: float = 0.0
    timestamp_window_s: float = 900.0
    notice_factor: float = 1.0
    notice_delay_s: float = 0.0
    refund_settles_s: float = 0.0


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong next. Counts go down as they strike, ``-1`` strikes until reset; forgotten at a restart.

    ``method`` limits the faults of the wire to methods (or, for notices, addresses) that contain it.
    """

    method: str = ""
    delay_s: float = 0.0
    answer_5xx: int = 0
    garbage: int = 0
    timeout_after_acting: int = 0
    hang_s: float = 15.0
    unsigned_answers: int = 0
    wrong_signatures: int = 0
    escaped_slashes: int = 0
    unknown_after_acting: int = 0
    unknown_without_acting: int = 0
    read_lag: int = 0
    busy: int = 0
    wait_for_payer: int = 0
    payer_too_poor: int = 0
    seller_too_poor: int = 0
    slow_refunds: int = 0
    cancel_again: int = 0
    broken_bills: int = 0
    drop_notices: int = 0
    duplicate_notices: int = 0
    forged_notices: int = 0

    def strikes(self, name: str, where: str = "") -> bool:
        """Say whether fault ``name`` strikes now, and count it down."""
        left = int(getattr(self, name))
        if left == 0 or self.method not in where:
            return False
        if left > 0:
            setattr(self, name, left - 1)
        return True


def beijing(moment: datetime) -> str:
    """Return a moment as Alipay writes it."""
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
