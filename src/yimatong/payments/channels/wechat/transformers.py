"""Between the port's structs and the JSON of API v3. Pure.

Only an explicit state is mapped to a final one; a state that we do not know is pending. Sources: pay.weixin.qq.com,
下单 / 查询订单 / 退款申请 / 支付通知 / 退款结果通知 of the domestic products for direct merchants.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import (
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    Notice,
    PaymentIntent,
    PaymentStatus,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.wechat.signing import sign

PAYMENT_STATUS = {
    "SUCCESS": PaymentStatus.SUCCEEDED,
    "REFUND": PaymentStatus.REFUNDED,
    "NOTPAY": PaymentStatus.PENDING,
    "USERPAYING": PaymentStatus.PENDING,
    "CLOSED": PaymentStatus.CLOSED,
    "REVOKED": PaymentStatus.CLOSED,
    "PAYERROR": PaymentStatus.FAILED,
}
REFUND_STATUS = {
    "SUCCESS": RefundStatus.SUCCEEDED,
    "PROCESSING": RefundStatus.PROCESSING,
    "ABNORMAL": RefundStatus.ABNORMAL,
    "CLOSED": RefundStatus.CLOSED,
}
PLACE_PATH = {
    Scene.NATIVE: "/v3/pay/transactions/native",
    Scene.H5: "/v3/pay/transactions/h5",
    Scene.JSAPI: "/v3/pay/transactions/jsapi",
    Scene.APP: "/v3/pay/transactions/app",
}
DESCRIPTION_MAX = 127
REASON_MAX = 80

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Garbled(Exception):
    """A signed message that does not have the published shape; the text says where, for the audit only."""


class _Amount(msgspec.Struct, frozen=True):
    total: int = 0
    refund: int = 0
    currency: str = "CNY"


class _Payer(msgspec.Struct, frozen=True):
    openid: str = ""


class _Placed(msgspec.Struct, frozen=True):
    prepay_id: str = ""
    code_url: str = ""
    h5_url: str = ""


class _Transaction(msgspec.Struct, frozen=True, kw_only=True):
    mchid: str
    out_trade_no: str
    trade_state: str
    appid: str = ""
    transaction_id: str = ""
    success_time: datetime | None = None
    amount: _Amount = _Amount()
    payer: _Payer = _Payer()


class _Refund(msgspec.Struct, frozen=True, kw_only=True):
    out_refund_no: str
    out_trade_no: str
    refund_id: str = ""
    status: str = ""
    refund_status: str = ""
    mchid: str = ""
    success_time: datetime | None = None
    amount: _Amount = _Amount()


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    algorithm: str
    ciphertext: str
    nonce: str
    original_type: str = ""
    associated_data: str = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A notice before its resource is opened."""

    id: str
    event_type: str
    resource_type: str
    resource: _Resource


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What a 4xx answer says."""

    code: str
    message: str = ""


class BillPlace(msgspec.Struct, frozen=True):
    """Where a bill can be fetched, and the hash of its plain text."""

    hash_type: str
    hash_value: str
    download_url: str


def read(body: bytes, shape: type[Shape]) -> Shape:
    """Decode a signed message. Raises ``Garbled``."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Garbled(str(error)) from error


def encode_intent(account: ChannelAccount, intent: PaymentIntent) -> bytes:
    """Return the body that places a payment."""
    facts: dict[str, Any] = {
        "appid": account.app_id,
        "mchid": account.merchant_id,
        "description": intent.description[:DESCRIPTION_MAX],
        "out_trade_no": intent.attempt_no,
        "time_expire": rfc3339(intent.expires_at),
        "notify_url": intent.notify_url,
        "amount": {"total": intent.amount_fen, "currency": "CNY"},
        "scene_info": {"payer_client_ip": intent.client_ip},
    }
    if intent.scene is Scene.H5:
        facts["scene_info"]["h5_info"] = {"type": "Wap"}
    if intent.scene is Scene.JSAPI:
        facts["payer"] = {"openid": intent.payer_id}
    return msgspec.json.encode(facts)


def decode_placed(
    body: bytes, account: ChannelAccount, intent: PaymentIntent, *, now: datetime, nonce: str
) -> CashierAction:
    """Return what the cashier does with a placed payment. Raises ``Garbled`` when the answer lacks it."""
    placed = read(body, _Placed)
    if intent.scene is Scene.NATIVE and placed.code_url:
        return CashierAction(qr_text=placed.code_url)
    if intent.scene is Scene.H5 and placed.h5_url:
        return CashierAction(redirect_url=placed.h5_url)
    if intent.scene in (Scene.JSAPI, Scene.APP) and placed.prepay_id:
        make = _jsapi_params if intent.scene is Scene.JSAPI else _app_params
        return CashierAction(sdk_params=make(account, placed.prepay_id, str(int(now.timestamp())), nonce))
    message = f"the answer has nothing for the scene {intent.scene}"
    raise Garbled(message)


def _jsapi_params(account: ChannelAccount, prepay_id: str, timestamp: str, nonce: str) -> Mapping[str, str]:
    package = f"prepay_id={prepay_id}"
    return {
        "appId": account.app_id,
        "timeStamp": timestamp,
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": sign(secret(account, "private_key_pem"), account.app_id, timestamp, nonce, package),
    }


def _app_params(account: ChannelAccount, prepay_id: str, timestamp: str, nonce: str) -> Mapping[str, str]:
    return {
        "appid": account.app_id,
        "partnerid": account.merchant_id,
        "prepayid": prepay_id,
        "package": "Sign=WXPay",
        "noncestr": nonce,
        "timestamp": timestamp,
        "sign": sign(secret(account, "private_key_pem"), account.app_id, timestamp, nonce, prepay_id),
    }


def decode_payment(body: bytes) -> ChannelPayment:
    """Return the payment that a query or a notice describes. Raises ``Garbled``."""
    told = read(body, _Transaction)
    return ChannelPayment(
        attempt_no=told.out_trade_no,
        status=PAYMENT_STATUS.get(told.trade_state, PaymentStatus.PENDING),
        merchant_id=told.mchid,
        app_id=told.appid,
        channel_trade_no=told.transaction_id,
        amount_fen=told.amount.total,
        currency=told.amount.currency,
        paid_at=_aware(told.success_time),
        payer_id=told.payer.openid,
    )


def encode_close(account: ChannelAccount) -> bytes:
    """Return the body that closes an order."""
    return msgspec.json.encode({"mchid": account.merchant_id})


def encode_refund(request: RefundRequest) -> bytes:
    """Return the body that asks for a refund."""
    return msgspec.json.encode(
        {
            "out_trade_no": request.attempt_no,
            "out_refund_no": request.refund_no,
            "reason": request.reason[:REASON_MAX],
            "notify_url": request.notify_url,
            "amount": {"refund": request.refund_fen, "total": request.paid_fen, "currency": "CNY"},
        }
    )


def decode_refund(body: bytes, merchant_id: str = "") -> ChannelRefund:
    """Return the refund of an answer (which does not repeat the merchant) or of a notice. Raises ``Garbled``."""
    told = read(body, _Refund)
    return ChannelRefund(
        refund_no=told.out_refund_no,
        attempt_no=told.out_trade_no,
        status=REFUND_STATUS.get(told.status or told.refund_status, RefundStatus.PROCESSING),
        merchant_id=told.mchid or merchant_id,
        channel_refund_no=told.refund_id,
        refund_fen=told.amount.refund,
        succeeded_at=_aware(told.success_time),
    )


def decode_notice(envelope: Envelope, resource: bytes) -> Notice:
    """Return a notice from its opened resource. Raises ``Garbled`` for an event that is neither payment nor refund."""
    if envelope.event_type.startswith("TRANSACTION."):
        return Notice(notice_id=envelope.id, payment=decode_payment(resource))
    if envelope.event_type.startswith("REFUND."):
        return Notice(notice_id=envelope.id, refund=decode_refund(resource))
    message = f"event {envelope.event_type[:64]} is not one of ours"
    raise Garbled(message)


def secret(account: ChannelAccount, name: str) -> str:
    """Return one of the account's secrets as a plain string."""
    return str(account.secrets[name])


def platform_keys(account: ChannelAccount) -> dict[str, str]:
    """Return the platform's public keys by id: the current one, and a previous one while WeChat Pay changes over.

    During a change notices are signed by either; ``previous_key_id`` and ``previous_public_key_pem`` are optional.
    """
    secrets: Mapping[str, Secret] = account.secrets
    keys = {secret(account, "platform_key_id"): secret(account, "platform_public_key_pem")}
    if "previous_key_id" in secrets:
        keys[secret(account, "previous_key_id")] = secret(account, "previous_public_key_pem")
    return keys


def _aware(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        message = "a time without its offset"
        raise Garbled(message)
    return moment
