"""Shapes of ``biz_content``, with the limits that Alipay publishes for each field."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from yimatong.kit.clock import BEIJING
from yimatong.kit.money import AmountInvalid, parse_yuan
from yimatong.sandbox.alipay.rows import AlipayError

AMOUNT_FEN_MAX = 10_000_000_000
"""[0.01, 100000000] yuan."""
_SPECIAL = re.compile(r"[/=&]")
_AUTH_CODE = re.compile(r"(2[5-9]|30)\d{14,22}", re.ASCII)
Number = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_]+(?!\n)$")]
Body = TypeVar("Body", bound=msgspec.Struct)


class AgreementParams(msgspec.Struct, frozen=True):
    """Under which agreement trade.pay takes the money."""

    agreement_no: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every way to place a payment."""

    out_trade_no: Number
    total_amount: str | float | int
    subject: Annotated[str, Meta(min_length=1, max_length=256)]
    product_code: str = ""
    time_expire: str = ""
    seller_id: str = ""
    terminal_id: Annotated[str, Meta(max_length=32)] = ""
    buyer_id: str = ""
    buyer_open_id: str = ""
    op_app_id: str = ""
    scene: str = ""
    auth_code: str = ""
    agreement_params: AgreementParams | None = None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """Body of query, close and cancel: one of the two numbers; ``trade_no`` goes first."""

    out_trade_no: str = ""
    trade_no: str = ""


class PlaceRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Body of alipay.trade.refund."""

    refund_amount: str | float | int
    out_trade_no: str = ""
    trade_no: str = ""
    out_request_no: Annotated[str, Meta(max_length=64)] = ""
    refund_reason: Annotated[str, Meta(max_length=256)] = ""


class AskRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Body of alipay.trade.fastpay.refund.query."""

    out_request_no: Annotated[str, Meta(min_length=1, max_length=64)]
    out_trade_no: str = ""
    trade_no: str = ""
    query_options: list[str] = []


class AskBill(msgspec.Struct, frozen=True, kw_only=True):
    """Body of alipay.data.dataservice.bill.downloadurl.query."""

    bill_type: str
    bill_date: str


class AccessParams(msgspec.Struct, frozen=True):
    """Where the payer signs."""

    channel: str


class SignPage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of alipay.user.agreement.page.sign."""

    personal_product_code: str
    access_params: AccessParams
    product_code: str = ""
    sign_scene: str = "DEFAULT|DEFAULT"
    external_agreement_no: Annotated[str, Meta(max_length=32)] = ""


class AskAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """Body of alipay.user.agreement.query and unsign."""

    agreement_no: str = ""
    external_agreement_no: str = ""
    personal_product_code: str = ""
    sign_scene: str = ""


def parse(text: str, shape: type[Body]) -> Body:
    """Read ``biz_content``. Raises ``isv.invalid-parameter``; the text names the field."""
    try:
        return msgspec.json.decode(text, type=shape)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise AlipayError(40002, "isv.invalid-parameter", f"参数无效：{error}") from error


def amount(value: Any) -> int:
    """Return the fen of an amount that a merchant wrote. Raises ``ACQ.INVALID_PARAMETER``."""
    try:
        amount_fen = parse_yuan(value if isinstance(value, str) else repr(value))
    except AmountInvalid as error:
        raise AlipayError(40004, "ACQ.INVALID_PARAMETER", "参数无效：金额") from error
    if not 1 <= amount_fen <= AMOUNT_FEN_MAX:
        raise AlipayError(40004, "ACQ.INVALID_PARAMETER", "参数无效：金额超出范围")
    return amount_fen


def expiry(text: str) -> datetime | None:
    """Return the moment of ``yyyy-MM-dd HH:mm:ss`` in Beijing. Raises ``ACQ.INVALID_PARAMETER``."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError as error:
        raise AlipayError(40004, "ACQ.INVALID_PARAMETER", "参数无效：time_expire") from error


def check_place(method: str, asked: Place, *, pid: str, app_id: str) -> None:
    """Check what depends on the way of paying. Raises ``ACQ.INVALID_PARAMETER`` or its finer codes."""
    wrong = ""
    if _SPECIAL.search(asked.subject):
        wrong = "subject 不可使用特殊符号"
    if asked.seller_id not in ("", pid):
        wrong = "seller_id"
    if method == "alipay.trade.create" and not (asked.buyer_id or asked.buyer_open_id):
        raise AlipayError(40004, "ACQ.BUYER_NOT_EXIST", "买家不存在")
    if asked.product_code == "JSAPI_PAY" and asked.op_app_id != app_id:
        wrong = "op_app_id"
    if method == "alipay.trade.pay" and asked.agreement_params is None:
        if asked.scene not in ("bar_code", "wave_code"):
            wrong = "scene"
        elif not _AUTH_CODE.fullmatch(asked.auth_code):
            raise AlipayError(
                40004, "ACQ.PAYMENT_AUTH_CODE_INVALID", "支付失败，获取顾客账户信息失败，请顾客刷新付款码后重新收款"
            )
    if wrong:
        raise AlipayError(40004, "ACQ.INVALID_PARAMETER", f"参数无效：{wrong}")
