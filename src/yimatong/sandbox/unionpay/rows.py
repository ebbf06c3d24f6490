"""What the simulated UnionPay remembers: one struct per table, and the answers and notices made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.notifying import SentNotice

MESSAGES = {
    "00": "成功[0000000]",
    "05": "交易已受理，请稍后查询交易结果",
    "10": "报文格式错误",
    "11": "验证签名失败",
    "12": "重复交易",
    "13": "报文交易要素缺失",
    "31": "商户状态不正确",
    "32": "无此交易权限",
    "34": "查无此交易",
    "35": "原交易不存在或状态不正确",
    "36": "与原交易信息不符",
    "39": "交易不在受理时间范围内",
    "40": "绑定关系检查失败",
    "45": "原交易已被成功退货或已被成功撤销",
    "61": "输入的卡号无效，请确认后输入",
    "64": "卡上的余额不足",
    "66": "持卡人身份信息、手机号或短信验证码输入不正确，验证失败",
    "98": "文件不存在",
}


class WireError(Exception):
    """A refusal as UnionPay answers it: its 应答码."""

    def __init__(self, *, code: str, detail: str = "") -> None:
        super().__init__(f"{code} {detail or MESSAGES.get(code, code)}")
        self.code = code
        self.message = detail or MESSAGES.get(code, code)


class Merchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directly connected merchant. ``cert_id`` is the decimal serial of the certificate of ``public_key_pem``."""

    mer_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Z]{15}(?!\n)$")]
    cert_id: str
    public_key_pem: str
    sign_method: str = "01"
    secure_key: str = ""
    tr_id: str = "62000000001"
    name: str = "模拟医院"


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A payment (01), refund (04) or void (31). ``state``: waiting, done, failed or reversed.

    ``code`` is the 应答码 of a failed one; ``token`` names its payer page (the tn of an app order).
    """

    mer_id: str
    order_id: str
    txn_time: str
    txn_type: str
    sub_type: str
    biz_type: str
    amount_fen: int
    back_url: str
    digest: str
    created_at: datetime
    front_url: str = ""
    description: str = ""
    req_reserved: str = ""
    pay_timeout: datetime | None = None
    front: bool = False
    token: str = ""
    state: str = "waiting"
    code: str = ""
    query_id: str = ""
    orig_query_id: str = ""
    trace_no: str = ""
    settle_date: str = ""
    done_at: datetime | None = None
    settles_at: datetime | None = None
    settles_as: str = "done"

    @property
    def key(self) -> str:
        """Return the key of the row: merchant, number and time together."""
        return f"{self.mer_id}/{self.order_id}/{self.txn_time}"

    def facts(self) -> dict[str, str]:
        """Return what answers, notices and queries say of it beside the codes."""
        told = {
            "accessType": "0",
            "bizType": self.biz_type,
            "currencyCode": "156",
            "encoding": "UTF-8",
            "merId": self.mer_id,
            "orderId": self.order_id,
            "queryId": self.query_id,
            "origQryId": self.orig_query_id,
            "reqReserved": self.req_reserved,
            "txnAmt": str(self.amount_fen),
            "txnSubType": self.sub_type,
            "txnTime": self.txn_time,
            "txnType": self.txn_type,
            "version": "5.1.0",
        }
        if self.done_at is not None and self.state == "done":
            told |= {
                "settleAmt": str(self.amount_fen),
                "settleCurrencyCode": "156",
                "settleDate": self.settle_date[4:],
                "traceNo": self.trace_no,
                "traceTime": f"{self.done_at.astimezone(BEIJING):%m%d%H%M%S}",
                "accNo": "621700******0000",
                "payCardType": "01",
            }
        return told


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """An opening of quick payment (开通). ``state``: waiting, open, refused or deleted."""

    mer_id: str
    order_id: str
    txn_time: str
    back_url: str = ""
    front_url: str = ""
    page: str = ""
    card_end: str = ""
    phone: str = ""
    state: str = "waiting"
    token: str = ""

    @property
    def key(self) -> str:
        """Return the key of the row."""
        return f"{self.mer_id}/{self.order_id}/{self.txn_time}"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An SMS code that was sent, for the number and time (and amount) it belongs to."""

    mer_id: str
    order_id: str
    txn_time: str
    code: str
    phone: str
    sent_at: datetime
    amount_fen: int = 0
    token: str = ""
    tries_left: int = 3

    @property
    def key(self) -> str:
        """Return the key of the row."""
        return f"{self.mer_id}/{self.order_id}/{self.txn_time}"


class Notice(SentNotice, frozen=True, kw_only=True):
    """A notice on its way. ``state``: pending, delivered, given_up or dropped (by a fault)."""

    mer_id: str
    url: str
    fields: dict[str, str]
    last_status: int = 0


class ClosedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement date (YYYYMMDD) whose files are written: merchants with a file, and what was planted."""

    date: str
    merchants: tuple[str, ...]
    planted: list[dict[str, str]]


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lasting conditions. ``business_offset_s`` moves the clock of orders, expiry and settlement dates, in seconds."""

    business_offset_s: float = 0.0
    notice_factor: float = 1.0
    refund_settles_s: float = 1.0


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
    foreign_chain: int = 0
    wrong_cn: int = 0
    read_lag: int = 0
    late_money: int = 0
    barcode_refused: int = 0
    barcode_waits: int = 0
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
