"""The mixed order of medical insurance and own money (医保自费混合收款), one password for both. Pure.

Sources: pay.weixin.qq.com, 医保自费混合收款下单 (4016781466), 查看下单结果 (4016781479), 医保混合收款成功通知
(4016781554), 医保退款通知 (4016781561), JSAPI 调起医保自费混合支付 (4016781549). What differs from an ordinary order:

- the own part is first placed as an ordinary JSAPI order under the same number; the mixed order then names its
  ``prepay_id``. Its ``attach`` marks it, so that its own notices are not taken for the whole;
- ``total_fee = gov + self + other + wechat_pay_cash_fee`` (reductions and additions are never sent);
- name and the MD5 of the id number of the payer travel under the platform's key (RSA-OAEP);
- ``mix_pay_status`` and the states of both halves must say the same, otherwise the payment is pending;
- neither answers nor the notice name the merchant: ``attach``, which they repeat, carries its number;
- there is no close: closing the own half makes the whole unpayable;
- WeChat Pay gives back the own half only. The insurer's half is reversed at the insurer, and WeChat Pay is told so.

From the insurer come, in ``references``: ``pay_order_id``, ``pay_auth_no``, ``geo_location``, ``order_created_at``
(RFC 3339), ``payer_name``, ``payer_id_number``; optional ``payer_card_type`` (ID_CARD), ``order_type`` (DIAG_PAY),
``serial_no``, ``passthrough``. In ``components``: ``fund_fen``, ``account_fen``, ``other_fen``; the rest of the amount
is own money. In the account's profile: ``med_city_id``, ``med_inst_no``, ``med_inst_name``; optional
``med_channel_no``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import rfc3339
from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    PaymentIntent,
    PaymentStatus,
    RefundRequest,
)
from yimatong.payments.channels.wechat.keys import profile, sealed_identity
from yimatong.payments.channels.wechat.transformers import (
    MIXED_CASH,
    Garbled,
    app_of,
    aware,
    jsapi_params,
    own_app,
    placing,
    read,
)
from yimatong.payments.errors import ChannelRefused

ORDERS = "/v3/med-ins/orders"
INSURED = ("fund_fen", "account_fen", "other_fen")
EVENT = "MEDICAL_INSURANCE."
SERIAL_MAX = 20
_SETTLED = frozenset({"SELF_PAY_SUCCESS", "NO_SELF_PAY", "MED_INS_PAY_SUCCESS", "NO_MED_INS_PAY"})
_BACK = frozenset({"SELF_PAY_REFUND", "MED_INS_PAY_REFUND"})
_FAILED = frozenset({"SELF_PAY_FAIL", "NO_SELF_PAY", "MED_INS_PAY_FAIL", "NO_MED_INS_PAY"})
_WAITING = frozenset({"MED_INS_PAY_CREATED", "MED_INS_PAY_FAIL", "NO_MED_INS_PAY"})
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_OLD_NUMBER = 15


class Mixed(msgspec.Struct, frozen=True, kw_only=True):
    """A mixed order as a query, the answer to its placing or a notice tells it. Amounts in fen."""

    mix_trade_no: str
    out_trade_no: str
    mix_pay_status: str
    self_pay_status: str = ""
    med_ins_pay_status: str = ""
    paid_time: datetime | None = None
    appid: str = ""
    attach: str = ""
    openid: str = ""
    prepay_id: str = ""
    total_fee: int = 0
    med_ins_gov_fee: int = 0
    med_ins_self_fee: int = 0
    med_ins_other_fee: int = 0
    wechat_pay_cash_fee: int = 0


def insured_fen(components: Mapping[str, int]) -> int:
    """Return what of ``components`` is the insurer's to pay."""
    return sum(components.get(name, 0) for name in INSURED)


def cash_fen(intent: PaymentIntent) -> int:
    """Return what of an intent is the payer's own money.

    Raises:
        ChannelRefused: the insurer's parts are negative or more than the whole.
    """
    own = intent.amount_fen - insured_fen(intent.components)
    if own < 0 or any(intent.components.get(name, 0) < 0 for name in INSURED):
        raise ChannelRefused(channel_code="RULE_LIMIT", channel_message="订单总金额校验不通过")
    return own


def encode_cash_half(account: ChannelAccount, intent: PaymentIntent) -> bytes:
    """Return the body that places the own half as an ordinary JSAPI order."""
    facts = placing(account, replace(intent, amount_fen=cash_fen(intent)))
    return msgspec.json.encode(facts | {"attach": MIXED_CASH})


def encode_mixed(account: ChannelAccount, intent: PaymentIntent, *, prepay_id: str, public_key_pem: str) -> bytes:
    """Return the body of a mixed order; ``public_key_pem`` is the key that the request names in its header.

    Raises:
        AccountUnusable: the profile lacks the hospital's numbers at the insurer.
        ChannelRefused: the references lack what the insurer gave, or the payer.
    """
    known, own = intent.references, cash_fen(intent)
    insured = insured_fen(intent.components)
    facts: dict[str, Any] = {
        "mix_pay_type": "CASH_ONLY" if not insured else "CASH_AND_INSURANCE" if own else "INSURANCE_ONLY",
        "order_type": known.get("order_type", "DIAG_PAY"),
        "appid": app_of(account, known),
        "openid": intent.payer_id,
        "payer": {
            "name": sealed_identity(_given(known, "payer_name"), public_key_pem),
            "id_digest": sealed_identity(id_digest(_given(known, "payer_id_number")), public_key_pem),
            "card_type": known.get("payer_card_type", "ID_CARD"),
        },
        "out_trade_no": intent.attempt_no,
        "serial_no": known.get("serial_no", intent.attempt_no[:SERIAL_MAX]),
        "city_id": profile(account, "med_city_id"),
        "med_inst_name": profile(account, "med_inst_name"),
        "med_inst_no": profile(account, "med_inst_no"),
        "total_fee": intent.amount_fen,
        "wechat_pay_cash_fee": own,
        "callback_url": intent.notify_url,
        "attach": account.merchant_id,
    }
    if own:
        facts["prepay_id"] = prepay_id
    if insured:
        facts |= {
            "pay_order_id": _given(known, "pay_order_id"),
            "pay_auth_no": _given(known, "pay_auth_no"),
            "geo_location": _given(known, "geo_location"),
            "med_ins_order_create_time": _given(known, "order_created_at"),
            "med_ins_gov_fee": intent.components.get("fund_fen", 0),
            "med_ins_self_fee": intent.components.get("account_fen", 0),
            "med_ins_other_fee": intent.components.get("other_fen", 0),
            "med_ins_cash_fee": own,
        }
    optional = {
        "passthrough_request_content": known.get("passthrough", ""),
        "channel_no": account.profile.get("med_channel_no", ""),
    }
    return msgspec.json.encode(facts | {name: value for name, value in optional.items() if value})


def launch_params(
    account: ChannelAccount, intent: PaymentIntent, placed: Mixed, prepay_id: str, *, now: datetime, nonce: str
) -> dict[str, str]:
    """Return what ``requestMedicalInsurancePay`` is handed; the five signed ones only when own money is paid."""
    app_id = app_of(account, intent.references)
    params = {"appid": app_id, "mixTradeNo": placed.mix_trade_no}
    if prepay_id:
        params |= jsapi_params(account, app_id, prepay_id, str(int(now.timestamp())), nonce)
        del params["appId"]
    return params


def decode_mixed(body: bytes) -> Mixed:
    """Return a mixed order. Raises ``Garbled`` when its amounts do not add up."""
    told = read(body, Mixed)
    parts = (told.med_ins_gov_fee, told.med_ins_self_fee, told.med_ins_other_fee, told.wechat_pay_cash_fee)
    if min(parts) < 0 or sum(parts) != told.total_fee:
        message = "the amounts of the mixed order do not add up"
        raise Garbled(message)
    return told


def payment_of(told: Mixed, account: ChannelAccount) -> ChannelPayment:
    """Return a mixed order as a payment; ``channel_trade_no`` is its ``mix_trade_no``. Raises ``Garbled``."""
    amounts = {
        "fund_fen": told.med_ins_gov_fee,
        "account_fen": told.med_ins_self_fee,
        "other_fen": told.med_ins_other_fee,
        "cash_fen": told.wechat_pay_cash_fee,
    }
    return ChannelPayment(
        attempt_no=told.out_trade_no,
        status=status_of(told),
        merchant_id=told.attach,
        app_id=own_app(account, told.appid),
        channel_trade_no=told.mix_trade_no,
        amount_fen=told.total_fee,
        paid_at=aware(told.paid_time),
        payer_id=told.openid,
        components={name: amount for name, amount in amounts.items() if amount},
    )


def status_of(told: Mixed) -> PaymentStatus:
    """Return how the whole stands: what the order and both halves say, or pending where they do not say the same.

    A half that was given back was paid before: with the other half settled the payment is a success that went back.
    """
    halves = {told.self_pay_status, told.med_ins_pay_status}
    if told.mix_pay_status in ("MIX_PAY_SUCCESS", "MIX_PAY_REFUND") and halves <= _SETTLED | _BACK:
        back = bool(halves & _BACK)
        if told.mix_pay_status == "MIX_PAY_REFUND" and not back:
            return PaymentStatus.PENDING
        return PaymentStatus.REFUNDED if back else PaymentStatus.SUCCEEDED
    if told.mix_pay_status == "MIX_PAY_FAIL" and halves <= _FAILED:
        return PaymentStatus.FAILED
    return PaymentStatus.PENDING


def insurer_waits(told: Mixed) -> bool:
    """Say whether the insurer has paid nothing, so that a closed own half ends the whole."""
    return bool(told.prepay_id or told.wechat_pay_cash_fee) and told.med_ins_pay_status in _WAITING


def encode_insurer_refund(request: RefundRequest) -> bytes:
    """Return the body that tells WeChat Pay what the insurer took back (医保退款通知)."""
    return msgspec.json.encode(
        {
            "med_refund_total_fee": insured_fen(request.components),
            "med_refund_gov_fee": request.components.get("fund_fen", 0),
            "med_refund_self_fee": request.components.get("account_fen", 0),
            "med_refund_other_fee": request.components.get("other_fen", 0),
            "refund_time": rfc3339(request.asked_at),
            "out_refund_no": request.refund_no,
        }
    )


def id_digest(id_number: str) -> str:
    """Return the MD5 of a resident id number as the interface wants it: 18 digits, upper case; hexadecimal, lower case.

    A number of the first generation (15 digits) gets its century and its check digit (GB 11643-1999, MOD 11-2).
    """
    number = id_number.strip().upper()
    if len(number) == _OLD_NUMBER and number.isascii() and number.isdigit():
        body = f"{number[:6]}19{number[6:]}"
        number = body + _CHECKS[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]
    return hashlib.md5(number.encode(), usedforsecurity=False).hexdigest()


def _given(references: Mapping[str, str], name: str) -> str:
    value = references.get(name, "")
    if not value:
        raise ChannelRefused(channel_code="PARAM_ERROR", channel_message=f"{name} 必填")
    return value
