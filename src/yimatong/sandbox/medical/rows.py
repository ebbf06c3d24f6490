"""What the medical insurance remembers: one struct per table. Amounts are fen, times UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.sandbox.notifying import SentNotice


class InsuranceError(Exception):
    """A refusal as the insurance answers it: its code and its words, signed, with HTTP 200."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Institution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hospital at the insurance. ``public_key`` is its SM2 key (hexadecimal); ``signer`` chooses the SM2 id."""

    fixmedins_code: Annotated[str, Meta(pattern="^[0-9A-Z]{1,12}(?!\\n)$")]
    app_id: Annotated[str, Meta(min_length=16, max_length=64)]
    app_secret: Annotated[str, Meta(min_length=16, max_length=64)]
    public_key: Annotated[str, Meta(pattern="^04[0-9a-f]{128}(?!\\n)$")]
    notify_url: str = ""
    name: str = "模拟医院"
    signer: Literal["default", "app_secret"] = "default"


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An insured person. The fund pays its share above the deductible; the account pays a share of the rest.

    ``insutype``: 310 employees, 390 residents. ``enrolled`` false: known, and not insured any more.
    """

    id_number: Annotated[str, Meta(min_length=1, max_length=40)]
    name: Annotated[str, Meta(min_length=1, max_length=50)]
    id_type: str = "01"
    psn_no: str = ""
    insutype: Literal["310", "390"] = "390"
    insuplc: str = "610100"
    fund_percent: Annotated[int, Meta(ge=0, le=100)] = 60
    account_percent: Annotated[int, Meta(ge=0, le=100)] = 50
    deductible_fen: Annotated[int, Meta(ge=0)] = 0
    balance_fen: Annotated[int, Meta(ge=0)] = 200_000
    enrolled: bool = True


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential token or a settlement code, and whose it is."""

    value: str
    kind: Literal["ecToken", "payAuthNo", "setlCode"]
    id_number: str
    expires_at: datetime


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """A divided bill: total = fund + account + own."""

    total_fen: int
    fund_fen: int
    account_fen: int
    own_fen: int
    deductible_fen: int = 0
    """How much of the deductible this bill uses up."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement of either interface; ``memo`` is the hospital's own number."""

    setl_id: str
    fixmedins_code: str
    msgid: str
    memo: str
    id_number: str
    psn_no: str
    mdtrt_id: str
    division: Division
    settled_at: datetime
    state: Literal["settled", "reversed", "cancelled"] = "settled"
    """``reversed`` by 2601: as if never settled; ``cancelled`` by 2208 or refunds: a second row in the detail file."""
    ended_at: datetime | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of fund and account at the mobile centre."""

    app_refd_sn: str
    refd_ord_id: str
    pay_ord_id: str
    fund_fen: int
    account_fen: int
    cash_fen: int
    status: Literal["SUCC", "FAIL", "EXP"]
    digest: str
    at: datetime


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the mobile payment centre."""

    pay_ord_id: str
    pay_token: str
    fixmedins_code: str
    app_id: str
    med_org_ord: str
    digest: str
    id_number: str
    id_type: str
    name: str
    mdtrt_id: str
    chrg_bchno: str
    account_used: bool
    division: Division
    uploaded_at: datetime
    ord_stas: str = "1"
    before: str = "1"
    """The state that a lagging reader still sees."""
    org_biz_ser: str = ""
    setl_id: str = ""
    settled_at: datetime | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message that moved something: sent again it moves nothing and has the same answer."""

    msgid: str
    infno: str
    digest: str
    setl_id: str = ""


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """What 2204 uploaded for one charge."""

    key: str
    total_fen: int


class Notice(SentNotice, frozen=True, kw_only=True):
    """A notice on its way. ``state``: pending, delivered, given_up or dropped (by a fault)."""

    app_id: str
    url: str
    content: str
    last_status: int = 0


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lasting conditions: the pace of repeated notices, and how long a credential token counts."""

    notice_factor: float = 1.0
    token_minutes: int = 30
