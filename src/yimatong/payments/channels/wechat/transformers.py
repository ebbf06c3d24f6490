"""Between the port's structs and the JSON of API v3. Pure.

Only an explicit state is mapped to a final one; a state that we do not know is pending. Sources: pay.weixin.qq.com,
下单 / 付款码支付 / 撤销 / 查询订单 / 退款申请 / 支付通知 / 退款结果通知 of the domestic products for direct merchants.

Not published in what can be read openly: whether a payment by code that waits for the payer's password is answered by a
2xx with ``trade_state`` USERPAYING or by a refusal with that code, and which parts of ``store_info`` are obligatory.
Both forms of the answer are taken as pending; the merchant's own number of the place (``out_id``) is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.payments.channels.base import (
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    PaymentIntent,
    PaymentStatus,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.wechat.keys import profile, signed

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
    Scene.BARCODE: "/v3/pay/transactions/codepay",
}
MINI = "mini"
"""What ``references["app"]`` says when the payer is in the merchant's mini program, not its service account."""
MIXED_CASH = "yimatong-med-ins"
"""``attach`` of the cash half of a mixed order: a notice that carries it tells of that half alone."""
DESCRIPTION_MAX = 127
REASON_MAX = 80
DEVICE_MAX = 32
STORE_MAX = 32

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
    attach: str = ""
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


def app_of(account: ChannelAccount, references: Mapping[str, str]) -> str:
    """Return the appid of the payer's surroundings: the account's own, or its mini program's.

    Raises:
        AccountUnusable: a mini program is meant and ``profile["mini_app_id"]`` names none.
    """
    return profile(account, "mini_app_id") if references.get("app") == MINI else account.app_id


def own_app(account: ChannelAccount, app_id: str) -> str:
    """Return the account's main appid for any of its own, so that our books know one; others as they are."""
    return account.app_id if app_id and app_id == account.profile.get("mini_app_id", "") else app_id


def encode_intent(account: ChannelAccount, intent: PaymentIntent) -> bytes:
    """Return the body that places a payment. Raises ``AccountUnusable`` as ``app_of`` does."""
    return msgspec.json.encode(placing(account, intent))


def placing(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return what ``encode_intent`` encodes."""
    facts: dict[str, Any] = {
        "appid": app_of(account, intent.references) if intent.scene is Scene.JSAPI else account.app_id,
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
    return facts


def encode_code(account: ChannelAccount, intent: PaymentIntent) -> bytes:
    """Return the body that pays by the payer's code (付款码支付).

    There is neither an expiry nor a notice address in it: the answer or a query says how it ended.
    """
    scene: dict[str, Any] = {
        "device_ip": intent.client_ip,
        "store_info": {"out_id": account.profile.get("store_id", "") or account.institution_id[:STORE_MAX]},
    }
    if intent.terminal_no:
        scene["device_id"] = intent.terminal_no[:DEVICE_MAX]
    facts: dict[str, Any] = {
        "appid": account.app_id,
        "mchid": account.merchant_id,
        "description": intent.description[:DESCRIPTION_MAX],
        "out_trade_no": intent.attempt_no,
        "payer": {"auth_code": intent.auth_code},
        "amount": {"total": intent.amount_fen, "currency": "CNY"},
        "scene_info": scene,
    }
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
        make = jsapi_params if intent.scene is Scene.JSAPI else _app_params
        app_id = app_of(account, intent.references) if intent.scene is Scene.JSAPI else account.app_id
        return CashierAction(sdk_params=make(account, app_id, placed.prepay_id, str(int(now.timestamp())), nonce))
    message = f"the answer has nothing for the scene {intent.scene}"
    raise Garbled(message)


def prepaid(body: bytes) -> str:
    """Return the number of a placed order that is not paid yet. Raises ``Garbled`` when there is none."""
    placed = read(body, _Placed)
    if not placed.prepay_id:
        message = "the answer has no prepay_id"
        raise Garbled(message)
    return placed.prepay_id


def jsapi_params(account: ChannelAccount, app_id: str, prepay_id: str, timestamp: str, nonce: str) -> dict[str, str]:
    """Return what WeChat's own browser or mini program is handed (JSAPI 调起支付)."""
    package = f"prepay_id={prepay_id}"
    return {
        "appId": app_id,
        "timeStamp": timestamp,
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": signed(account, app_id, timestamp, nonce, package),
    }


def _app_params(account: ChannelAccount, app_id: str, prepay_id: str, timestamp: str, nonce: str) -> dict[str, str]:
    return {
        "appid": app_id,
        "partnerid": account.merchant_id,
        "prepayid": prepay_id,
        "package": "Sign=WXPay",
        "noncestr": nonce,
        "timestamp": timestamp,
        "sign": signed(account, app_id, timestamp, nonce, prepay_id),
    }


def decode_payment(body: bytes, account: ChannelAccount) -> ChannelPayment:
    """Return the payment that a query, a code's answer or a notice describes.

    The cash half of a mixed order is never a success by itself: the mixed order says how the whole stands.

    Raises:
        Garbled: not the published shape.
    """
    told = read(body, _Transaction)
    status = PAYMENT_STATUS.get(told.trade_state, PaymentStatus.PENDING)
    if told.attach == MIXED_CASH:
        status = PaymentStatus.PENDING
    return ChannelPayment(
        attempt_no=told.out_trade_no,
        status=status,
        merchant_id=told.mchid,
        app_id=own_app(account, told.appid),
        channel_trade_no=told.transaction_id,
        amount_fen=told.amount.total,
        currency=told.amount.currency,
        paid_at=aware(told.success_time),
        payer_id=told.payer.openid,
    )


def cash_half_closed(body: bytes) -> bool:
    """Say whether the cash half of a mixed order can never be paid any more. Raises ``Garbled``."""
    told = read(body, _Transaction)
    return told.attach == MIXED_CASH and PAYMENT_STATUS.get(told.trade_state) is PaymentStatus.CLOSED


def pending(account: ChannelAccount, intent: PaymentIntent) -> ChannelPayment:
    """Return a payment that the payer still has to confirm (USERPAYING)."""
    return ChannelPayment(
        attempt_no=intent.attempt_no,
        status=PaymentStatus.PENDING,
        merchant_id=account.merchant_id,
        app_id=account.app_id,
    )


def encode_close(account: ChannelAccount) -> bytes:
    """Return the body that closes an order."""
    return msgspec.json.encode({"mchid": account.merchant_id})


def encode_reversal(account: ChannelAccount) -> bytes:
    """Return the body that reverses a payment by code (撤销): closed if unpaid, given back if paid."""
    return msgspec.json.encode({"appid": account.app_id, "mchid": account.merchant_id})


def encode_refund(request: RefundRequest, *, refund_fen: int = 0, paid_fen: int = 0, notify: bool = True) -> bytes:
    """Return the body that asks for a refund; amounts of 0 stand for those of the request.

    Without ``notify`` no address is given: the notice would tell of a share of the refund as if it were the whole.
    """
    total_fen = paid_fen or request.payment.amount_fen
    facts: dict[str, Any] = {
        "out_trade_no": request.payment.attempt_no,
        "out_refund_no": request.refund_no,
        "reason": request.reason[:REASON_MAX],
        "amount": {"refund": refund_fen or request.refund_fen, "total": total_fen, "currency": "CNY"},
    }
    if notify:
        facts["notify_url"] = request.notify_url
    return msgspec.json.encode(facts)


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
        succeeded_at=aware(told.success_time),
    )


def aware(moment: datetime | None) -> datetime | None:
    """Return a time that has its offset. Raises ``Garbled`` for one without."""
    if moment is not None and moment.tzinfo is None:
        message = "a time without its offset"
        raise Garbled(message)
    return moment
