"""Between the port's structs and Alipay's ``biz_content`` and replies. Pure.

Only an explicit state is mapped to a final one; a word that we do not know is pending. Sources: opendocs.alipay.com,
alipay.trade.precreate / wap.pay / page.pay / app.pay / create / pay / query / close / cancel / refund /
fastpay.refund.query. What public sources do not settle: whether a code that nobody has scanned can be cancelled; here
it counts as payable until its ``time_expire``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

import msgspec

from yimatong.kit.money import plain_yuan
from yimatong.payments.channels.alipay.facts import fen, moment, secret, stamp
from yimatong.payments.channels.alipay.replies import Garbled, read
from yimatong.payments.channels.alipay.signing import SIGN_TYPE, request_text, sign
from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)

METHODS = {
    Scene.NATIVE: "alipay.trade.precreate",
    Scene.H5: "alipay.trade.wap.pay",
    Scene.PAGE: "alipay.trade.page.pay",
    Scene.APP: "alipay.trade.app.pay",
    Scene.JSAPI: "alipay.trade.create",
    Scene.BARCODE: "alipay.trade.pay",
    Scene.AGREEMENT: "alipay.trade.pay",
}
_PRODUCTS = {
    Scene.NATIVE: "FACE_TO_FACE_PAYMENT",
    Scene.H5: "QUICK_WAP_WAY",
    Scene.PAGE: "FAST_INSTANT_TRADE_PAY",
    Scene.APP: "QUICK_MSECURITY_PAY",
    Scene.JSAPI: "JSAPI_PAY",
    Scene.BARCODE: "FACE_TO_FACE_PAYMENT",
    Scene.AGREEMENT: "GENERAL_WITHHOLDING",
}
_STATUS = {
    "WAIT_BUYER_PAY": PaymentStatus.PENDING,
    "TRADE_SUCCESS": PaymentStatus.SUCCEEDED,
    "TRADE_FINISHED": PaymentStatus.SUCCEEDED,
    "TRADE_CLOSED": PaymentStatus.CLOSED,
}
PAYER_MADE = frozenset({Scene.NATIVE, Scene.H5, Scene.PAGE, Scene.APP})
"""Scenes in which Alipay knows no trade before the payer arrives: *no such trade* is no end before the expiry."""
REVERSIBLE = frozenset({Scene.BARCODE, Scene.AGREEMENT})
"""Scenes that are ended by ``alipay.trade.cancel``, which gives the money back where it was taken."""
EXPIRY_GRACE = timedelta(seconds=60)
SUBJECT_MAX = 256
REASON_MAX = 256
_FORBIDDEN_IN_SUBJECT = str.maketrans("/=&", "   ")


class _Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade, as trade.pay (which leaves ``trade_status`` out) and trade.query show it."""

    out_trade_no: str
    trade_no: str = ""
    trade_status: str = ""
    total_amount: msgspec.Raw = msgspec.Raw()
    receipt_amount: msgspec.Raw = msgspec.Raw()
    buyer_pay_amount: msgspec.Raw = msgspec.Raw()
    send_pay_date: str = ""
    gmt_payment: str = ""
    buyer_user_id: str = ""
    buyer_open_id: str = ""


class _Placed(msgspec.Struct, frozen=True, kw_only=True):
    out_trade_no: str = ""
    trade_no: str = ""
    qr_code: str = ""


class _Refunded(msgspec.Struct, frozen=True, kw_only=True):
    out_trade_no: str
    fund_change: str = ""
    refund_fee: msgspec.Raw = msgspec.Raw()


class _DepositBack(msgspec.Struct, frozen=True):
    dback_status: str = ""


class _RefundFound(msgspec.Struct, frozen=True, kw_only=True):
    out_trade_no: str = ""
    out_request_no: str = ""
    refund_status: str = ""
    refund_amount: msgspec.Raw = msgspec.Raw()
    gmt_refund_pay: str = ""
    deposit_back_info: _DepositBack = _DepositBack()


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What a reversal did: ``retry_flag`` Y asks to do it again, ``action`` is ``close``, ``refund`` or empty."""

    out_trade_no: str = ""
    retry_flag: str = ""
    action: str = ""


class BillPlace(msgspec.Struct, frozen=True):
    """Where a bill can be fetched."""

    bill_download_url: str


def signed_parameters(
    account: ChannelAccount,
    method: str,
    biz: Mapping[str, Any],
    *,
    now: datetime,
    notify_url: str = "",
    return_url: str = "",
) -> dict[str, str]:
    """Return the parameters of a request, signed. Raises ``AccountUnusable`` or ``signing.UNREADABLE``."""
    parameters = {
        "app_id": account.app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": SIGN_TYPE,
        "timestamp": stamp(now),
        "version": "1.0",
        "notify_url": notify_url,
        "return_url": return_url,
        "app_auth_token": account.profile.get("app_auth_token", ""),
        "biz_content": msgspec.json.encode(biz).decode(),
    }
    kept = {name: value for name, value in sorted(parameters.items()) if value}
    return kept | {"sign": sign(secret(account, "private_key_pem"), request_text(kept))}


def jump(gateway_url: str, parameters: Mapping[str, str]) -> str:
    """Return the address that a browser opens for a page of Alipay's."""
    return f"{gateway_url}?{urlencode(parameters)}"


def order_string(parameters: Mapping[str, str]) -> str:
    """Return what a native app hands to Alipay's SDK (orderStr)."""
    return "&".join(f"{name}={quote_plus(value)}" for name, value in sorted(parameters.items()))


def intent_facts(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return the ``biz_content`` that places a payment."""
    facts: dict[str, Any] = {
        "out_trade_no": intent.attempt_no,
        "total_amount": plain_yuan(intent.amount_fen),
        "subject": intent.description.translate(_FORBIDDEN_IN_SUBJECT)[:SUBJECT_MAX],
        "product_code": account.profile.get(f"product_code_{intent.scene}") or _PRODUCTS[intent.scene],
        "time_expire": stamp(intent.expires_at),
    }
    if "seller_id" in account.profile:
        facts["seller_id"] = account.profile["seller_id"]
    if intent.terminal_no:
        facts["terminal_id"] = intent.terminal_no[:32]
    if intent.scene is Scene.H5 and intent.return_url:
        facts["quit_url"] = intent.return_url
    if intent.scene is Scene.JSAPI:
        by_number = intent.payer_id.startswith("2088") and intent.payer_id.isdecimal()
        facts["buyer_id" if by_number else "buyer_open_id"] = intent.payer_id
        facts["op_app_id"] = account.app_id
    if intent.scene is Scene.BARCODE:
        facts |= {"scene": "bar_code", "auth_code": intent.auth_code}
    if intent.scene is Scene.AGREEMENT:
        facts["agreement_params"] = {"agreement_no": intent.agreement_no}
    return facts


def decode_placed(node: str, intent: PaymentIntent) -> str:
    """Return the QR text (NATIVE) or the trade number (JSAPI) of a placed payment. Raises ``Garbled``."""
    placed = read(node, _Placed)
    given = placed.qr_code if intent.scene is Scene.NATIVE else placed.trade_no
    if placed.out_trade_no != intent.attempt_no or not given:
        message = f"the reply has nothing for the scene {intent.scene}"
        raise Garbled(message)
    return given


def decode_settled(node: str, account: ChannelAccount, intent: PaymentIntent) -> ChannelPayment:
    """Return the payment that trade.pay has taken (code 10000). Raises ``Garbled``."""
    told = read(node, _Trade)
    if told.out_trade_no != intent.attempt_no:
        message = "the reply is about another order"
        raise Garbled(message)
    return _payment(told, account, PaymentStatus.SUCCEEDED)


def decode_payment(node: str, account: ChannelAccount, payment: PlacedPayment) -> ChannelPayment:
    """Return the payment that a query describes.

    ``TRADE_CLOSED`` means never paid *or* paid and wholly refunded: where it shows that money came (``send_pay_date``,
    an amount received) it is the latter. After a reversal (BARCODE, AGREEMENT) the money is back and the payment is
    closed: an attempt of ours that we knew as paid is not moved by that, one that we did not know never counts.

    Raises:
        Garbled: another order, or no amount of a payment that was made.
    """
    told = read(node, _Trade)
    if told.out_trade_no != payment.attempt_no:
        message = "the reply is about another order"
        raise Garbled(message)
    status = _STATUS.get(told.trade_status, PaymentStatus.PENDING)
    came = bool(told.send_pay_date) or fen(told.receipt_amount) > 0 or fen(told.buyer_pay_amount) > 0
    if status is PaymentStatus.CLOSED and came and payment.scene not in REVERSIBLE:
        status = PaymentStatus.REFUNDED
    return _payment(told, account, status)


def _payment(told: _Trade, account: ChannelAccount, status: PaymentStatus) -> ChannelPayment:
    amount_fen = fen(told.total_amount)
    if status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED) and (amount_fen == 0 or not told.trade_no):
        message = "a payment without its amount or its number"
        raise Garbled(message)
    return ChannelPayment(
        attempt_no=told.out_trade_no,
        status=status,
        merchant_id=account.merchant_id,
        app_id=account.app_id,
        channel_trade_no=told.trade_no,
        amount_fen=amount_fen,
        paid_at=moment(told.send_pay_date or told.gmt_payment),
        payer_id=told.buyer_open_id or told.buyer_user_id,
    )


def no_such_trade(account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
    """Return what *no such trade* means: pending while a payer may still arrive, absent otherwise."""
    may_come = payment.scene in PAYER_MADE and now < payment.expires_at + EXPIRY_GRACE
    return ChannelPayment(
        attempt_no=payment.attempt_no,
        status=PaymentStatus.PENDING if may_come else PaymentStatus.ABSENT,
        merchant_id=account.merchant_id,
        app_id=account.app_id,
    )


def refund_facts(request: RefundRequest) -> dict[str, Any]:
    """Return the ``biz_content`` that asks for a refund; ``out_request_no`` always, so that it moves money once."""
    return {
        "out_trade_no": request.payment.attempt_no,
        "out_request_no": request.refund_no,
        "refund_amount": plain_yuan(request.refund_fen),
        "refund_reason": request.reason[:REASON_MAX],
    }


def decode_refunded(node: str, account: ChannelAccount, request: RefundRequest) -> ChannelRefund:
    """Return what a refund's reply (code 10000) says: ``fund_change`` Y moved the money, anything else must be asked.

    ``refund_fee`` is the sum of all refunds of the trade, so it only has to cover this one. Raises ``Garbled``.
    """
    told = read(node, _Refunded)
    moved = told.fund_change == "Y"
    if told.out_trade_no != request.payment.attempt_no or (moved and fen(told.refund_fee) < request.refund_fen):
        message = "the reply does not fit the refund"
        raise Garbled(message)
    status = RefundStatus.SUCCEEDED if moved else RefundStatus.PROCESSING
    return _refund(account, request, status, refund_fen=request.refund_fen)


def refund_query_facts(request: RefundRequest) -> dict[str, Any]:
    """Return the ``biz_content`` that asks how a refund stands."""
    return {
        "out_trade_no": request.payment.attempt_no,
        "out_request_no": request.refund_no,
        "query_options": ["gmt_refund_pay", "deposit_back_info"],
    }


def decode_refund(node: str, account: ChannelAccount, request: RefundRequest) -> ChannelRefund:
    """Return the refund that a query describes. Code 10000 only says that the query worked.

    ``REFUND_SUCCESS`` is the one success; on the way back to a bank card (deposit_back_info) ``F`` needs a person and
    ``P`` is under way. Without a status and without facts the refund was never taken: absent, and sending the same
    number again is safe. Raises ``Garbled``.
    """
    told = read(node, _RefundFound)
    if not told.out_request_no and not told.refund_status and fen(told.refund_amount) == 0:
        return absent_refund(account, request)
    if told.out_request_no != request.refund_no or told.out_trade_no != request.payment.attempt_no:
        message = "the reply is about another refund"
        raise Garbled(message)
    status = RefundStatus.PROCESSING
    if told.refund_status == "REFUND_SUCCESS":
        on_card = {"F": RefundStatus.ABNORMAL, "P": RefundStatus.PROCESSING}
        status = on_card.get(told.deposit_back_info.dback_status, RefundStatus.SUCCEEDED)
    return _refund(
        account,
        request,
        status,
        refund_fen=fen(told.refund_amount),
        succeeded_at=moment(told.gmt_refund_pay),
    )


def absent_refund(account: ChannelAccount, request: RefundRequest) -> ChannelRefund:
    """Return the refund that Alipay does not know."""
    return _refund(account, request, RefundStatus.ABSENT)


def _refund(account: ChannelAccount, request: RefundRequest, status: RefundStatus, **facts: Any) -> ChannelRefund:
    return ChannelRefund(
        refund_no=request.refund_no,
        attempt_no=request.payment.attempt_no,
        status=status,
        merchant_id=account.merchant_id,
        **facts,
    )
