"""What WeChat Pay remembers: one struct per table, and the answers and notices made from them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.sandbox.notifying import SentNotice

STATE_TEXT = {
    "SUCCESS": "支付成功",
    "REFUND": "转入退款",
    "NOTPAY": "订单未支付",
    "CLOSED": "订单已关闭",
    "USERPAYING": "用户支付中，需要输入密码",
    "REVOKED": "已撤销",
    "PAYERROR": "支付失败",
}
BANK = "OTHERS"
ACCOUNT = "支付用户零钱"


class WireError(Exception):
    """An error as WeChat Pay answers it: HTTP status, its own code, a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message


class Merchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A direct merchant (直连商户). ``serial_no`` names the certificate that ``public_key_pem`` belongs to."""

    mchid: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{1,32}(?!\n)$")]
    appid: str
    serial_no: str
    public_key_pem: str
    api_v3_key: str
    mini_appid: str = ""
    name: str = "模拟医院"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction. ``digest`` is the hash of the request that placed it; ``pr`` the token of its payer page."""

    mchid: str
    appid: str
    out_trade_no: str
    trade_type: str
    description: str
    attach: str
    notify_url: str
    total_fen: int
    time_expire: datetime | None
    openid: str
    digest: str
    prepay_id: str
    pr: str
    created_at: datetime
    trade_state: str = "NOTPAY"
    transaction_id: str = ""
    paid_at: datetime | None = None

    @property
    def key(self) -> str:
        """Return the key of the row: a number is unique within its merchant."""
        return f"{self.mchid}/{self.out_trade_no}"

    def answer(self) -> dict[str, Any]:
        """Return the JSON of a query and of the resource in a TRANSACTION notice."""
        facts: dict[str, Any] = {
            "appid": self.appid,
            "mchid": self.mchid,
            "out_trade_no": self.out_trade_no,
            "trade_state": self.trade_state,
            "trade_state_desc": STATE_TEXT.get(self.trade_state, self.trade_state),
            "attach": self.attach,
            "amount": {"total": self.total_fen, "currency": "CNY"},
            "promotion_detail": [],
        }
        if self.paid_at is not None:
            facts |= {
                "transaction_id": self.transaction_id,
                "trade_type": self.trade_type,
                "bank_type": BANK,
                "success_time": rfc3339(self.paid_at),
                "payer": {"openid": self.openid},
                "amount": {
                    "total": self.total_fen,
                    "payer_total": self.total_fen,
                    "currency": "CNY",
                    "payer_currency": "CNY",
                },
            }
        return facts


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund. ``settles_as`` is what it will become at ``settles_at`` (wall clock)."""

    mchid: str
    out_refund_no: str
    refund_id: str
    out_trade_no: str
    transaction_id: str
    refund_fen: int
    total_fen: int
    reason: str
    notify_url: str
    digest: str
    created_at: datetime
    settles_at: datetime
    settles_as: str
    status: str = "PROCESSING"
    success_at: datetime | None = None

    @property
    def key(self) -> str:
        """Return the key of the row: a number is unique within its merchant."""
        return f"{self.mchid}/{self.out_refund_no}"

    def answer(self) -> dict[str, Any]:
        """Return the JSON of a refund answer and of its query."""
        facts: dict[str, Any] = {
            "refund_id": self.refund_id,
            "out_refund_no": self.out_refund_no,
            "transaction_id": self.transaction_id,
            "out_trade_no": self.out_trade_no,
            "channel": "ORIGINAL",
            "user_received_account": ACCOUNT,
            "create_time": rfc3339(self.created_at),
            "status": self.status,
            "funds_account": "AVAILABLE",
            "amount": self._amount()
            | {
                "settlement_refund": self.refund_fen,
                "settlement_total": self.total_fen,
                "discount_refund": 0,
                "currency": "CNY",
            },
            "promotion_detail": [],
        }
        if self.success_at is not None:
            facts["success_time"] = rfc3339(self.success_at)
        return facts

    def notice(self) -> dict[str, Any]:
        """Return the resource of a REFUND notice, which names its status ``refund_status``."""
        facts: dict[str, Any] = {
            "mchid": self.mchid,
            "out_trade_no": self.out_trade_no,
            "transaction_id": self.transaction_id,
            "out_refund_no": self.out_refund_no,
            "refund_id": self.refund_id,
            "refund_status": self.status,
            "user_received_account": ACCOUNT,
            "amount": self._amount(),
        }
        if self.success_at is not None:
            facts["success_time"] = rfc3339(self.success_at)
        return facts

    def _amount(self) -> dict[str, Any]:
        return {
            "total": self.total_fen,
            "refund": self.refund_fen,
            "payer_total": self.total_fen,
            "payer_refund": self.refund_fen,
        }


class Notice(SentNotice, frozen=True, kw_only=True):
    """A notice on its way. ``state``: pending, delivered, given_up or dropped (by a fault)."""

    mchid: str
    url: str
    event_type: str
    original_type: str
    summary: str
    resource: str
    created_at: datetime
    last_status: int = 0
    probe_status: int = 0
    """What the merchant answered to a probe; 2xx means that it does not verify."""


class BillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a bill: a payment (``refund_id`` empty) or a refund."""

    moment: datetime
    appid: str
    mchid: str
    transaction_id: str
    out_trade_no: str
    openid: str
    trade_type: str
    state: str
    total_fen: int
    description: str
    attach: str
    fee_yuan: Decimal
    refund_id: str = ""
    out_refund_no: str = ""
    refund_fen: int = 0
    refund_status: str = ""
    refunded_at: datetime | None = None


class ClosedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A business day whose bills are written; ``sha1`` of the plain text by ``merchant/type``."""

    date: str
    seed: int
    sha1: dict[str, str]
    planted: list[dict[str, Any]]
    carried: tuple[BillRow, ...] = ()
    """Rows that a ``cross_day`` difference moved into the bill of the next day."""


class CertificateRow(msgspec.Struct, frozen=True, kw_only=True):
    """A platform certificate; its private key is a file of its own."""

    serial_no: str
    pem: str
    begins_at: datetime
    ends_at: datetime


class CodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A payment code (付款码) in a payer's app, used once and within a minute.

    ``ends``: ``pays``, ``asks`` (for the password), ``asks_refusing`` (the same, answered as a refusal), ``poor``.
    """

    auth_code: str
    openid: str
    ends: str
    expires_at: datetime
    used_by: str = ""


class MixedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A mixed order of medical insurance and own money; ``request`` is its body without the payer's identity."""

    mchid: str
    out_trade_no: str
    mix_trade_no: str
    request: str
    created_at: datetime
    med_status: str
    paid_at: datetime | None = None
    refunded_fen: int = 0
    told: bool = False

    @property
    def key(self) -> str:
        """Return the key of the row: the own half's too."""
        return f"{self.mchid}/{self.out_trade_no}"


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lasting conditions of the simulated world. Offsets and delays in seconds.

    ``business_offset_s`` moves the clock of orders, expiry and bills; ``wire_offset_s`` the clock by which signatures
    are made and judged; ``notice_factor`` stretches or shrinks the published schedule of repeated notices.
    ``notice_certificate_percent`` of the notices are signed by the platform's certificate, the others by its key.
    ``mixed_fails_when_closed``: a mixed order whose own half was closed fails as a whole, or goes on waiting.
    """

    business_offset_s: float = 0.0
    wire_offset_s: float = 0.0
    notice_factor: float = 1.0
    refund_settles_s: float = 1.0
    mixed_fails_when_closed: bool = True
    notice_certificate_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong next. Counts go down as they strike, ``-1`` strikes until reset; forgotten at a restart.

    ``path`` limits the faults of the wire to addresses that contain it.
    """

    path: str = ""
    delay_s: float = 0.0
    answer_5xx: int = 0
    timeout_after_acting: int = 0
    hang_s: float = 15.0
    unsigned_answers: int = 0
    wrong_signatures: int = 0
    frequency_limited: int = 0
    read_lag: int = 0
    not_enough: int = 0
    refund_abnormal: int = 0
    broken_bills: int = 0
    drop_notices: int = 0
    duplicate_notices: int = 0
    probe_notices: int = 0

    def strikes(self, name: str, path: str = "") -> bool:
        """Say whether fault ``name`` strikes now, and count it down."""
        left = int(getattr(self, name))
        if left == 0 or self.path not in path:
            return False
        if left > 0:
            setattr(self, name, left - 1)
        return True
