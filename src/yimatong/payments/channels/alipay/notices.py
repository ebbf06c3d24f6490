"""Notices (异步通知) and return pages (同步回跳): verified on the form's own values, read only then. Pure.

A notice is a form post; its signature is over all fields but ``sign`` and ``sign_type``, written in its own
``charset``. ``notify_id`` stays the same when it is sent again. Sources: opendocs.alipay.com, 异步通知说明 and
异步返回结果的验签. Alipay asks the merchant to check ``app_id``, ``seller_id``, ``out_trade_no`` and ``total_amount``
as well: the first two are checked here, the others against our own books by the settlement.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl

import msgspec

from yimatong.crypto.pem import UNREADABLE
from yimatong.payments.channels.abilities import AgreementStanding, ChannelAgreement
from yimatong.payments.channels.alipay.agreements import request_of
from yimatong.payments.channels.alipay.facts import alipay_keys, fen, moment, seller_id
from yimatong.payments.channels.alipay.replies import Garbled
from yimatong.payments.channels.alipay.signing import Unverified, verify_parameters
from yimatong.payments.channels.base import ChannelAccount, ChannelPayment, Notice, PaymentStatus
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood

BYTES_MAX = 64 * 1024
FIELDS_MAX = 100
CHARSETS = frozenset({"utf-8", "gbk", "gb2312", "gb18030"})
_PAID = frozenset({"TRADE_SUCCESS", "TRADE_FINISHED"})


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """Where a payer came back from, verified. A reason to query, never proof of a payment."""

    attempt_no: str
    amount_fen: int
    channel_trade_no: str


def parse_notice(account: ChannelAccount, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
    """Verify and read a notice about a trade (``trade_status_sync``); ``headers`` and ``now`` carry nothing signed.

    ``TRADE_SUCCESS`` and ``TRADE_FINISHED`` are the same payment, whether they come first, again after a partial refund
    (``refund_fee``) or when the time to refund is over. ``TRADE_CLOSED`` is a payment that went back where the notice
    says that money came or returned, and otherwise a payment that never was.

    Raises:
        NoticeNotGenuine: the signature, the app or the seller does not hold.
        NoticeNotUnderstood: genuine, and of a kind or shape that is not ours.
    """
    del headers, now
    told = _genuine(account, body)
    try:
        return _trade_notice(account, told)
    except Garbled as error:
        raise NoticeNotUnderstood(audit=str(error)) from error


def parse_agreement_notice(account: ChannelAccount, body: bytes) -> tuple[str, ChannelAgreement]:
    """Verify and read a notice about an agreement (``dut_user_sign``, ``dut_user_unsign``): its id and what it says.

    Errors as ``parse_notice``. Such a notice names no seller.
    """
    told = _genuine(account, body, seller=False)
    standings = {"dut_user_sign": AgreementStanding.AGREED, "dut_user_unsign": AgreementStanding.ENDED}
    standing = standings.get(told.get("notify_type", ""))
    if standing is None or told.get("status") not in ("NORMAL", "UNSIGN", "STOP"):
        raise NoticeNotUnderstood(audit=f"notify_type {told.get('notify_type', '')[:32]}")
    try:
        agreement = ChannelAgreement(
            request_no=request_of(_needed(told, "external_agreement_no")),
            standing=standing,
            agreement_no=_needed(told, "agreement_no"),
        )
        return _needed(told, "notify_id"), agreement
    except Garbled as error:
        raise NoticeNotUnderstood(audit=str(error)) from error


def verify_return(account: ChannelAccount, query: str) -> Returned:
    """Verify the parameters of a return page (the text behind ``?``).

    Raises:
        NoticeNotGenuine: not signed by Alipay, or about another app or seller.
        NoticeNotUnderstood: genuine, without order or amount.
    """
    told = _genuine(account, query.encode())
    try:
        return Returned(
            attempt_no=_needed(told, "out_trade_no"),
            amount_fen=fen(_needed(told, "total_amount")),
            channel_trade_no=told.get("trade_no", ""),
        )
    except Garbled as error:
        raise NoticeNotUnderstood(audit=str(error)) from error


def _genuine(account: ChannelAccount, body: bytes, *, seller: bool = True) -> dict[str, str]:
    try:
        told, charset = _form(body)
        verify_parameters(told, keys=alipay_keys(account), charset=charset)
    except Unverified as error:
        raise NoticeNotGenuine(audit=str(error)) from error
    except UNREADABLE as error:
        raise NoticeNotGenuine(audit=f"Alipay's public key cannot be read: {type(error).__name__}") from error
    if told.get("app_id") != account.app_id:
        raise NoticeNotGenuine(audit="about another app")
    if seller and told.get("seller_id") != seller_id(account):
        raise NoticeNotGenuine(audit="about another seller")
    return told


def _form(body: bytes) -> tuple[dict[str, str], str]:
    """Read a form in the charset that it names itself. Raises ``Unverified``."""
    if len(body) > BYTES_MAX:
        message = f"more than {BYTES_MAX} bytes"
        raise Unverified(message)
    try:
        text = body.decode("ascii")
        charset = dict(_pairs(text, "latin-1")).get("charset", "utf-8").lower()
        if charset not in CHARSETS:
            message = f"charset {charset[:16]!r}"
            raise Unverified(message)
        pairs = _pairs(text, charset)
    except ValueError as error:  # also a character outside the charset
        message = "not a form"
        raise Unverified(message) from error
    told = dict(pairs)
    if len(told) != len(pairs):
        message = "a field twice"
        raise Unverified(message)
    return told, charset


def _pairs(text: str, charset: str) -> list[tuple[str, str]]:
    return parse_qsl(
        text,
        keep_blank_values=True,
        strict_parsing=True,
        encoding=charset,
        errors="strict",
        max_num_fields=FIELDS_MAX,
    )


def _trade_notice(account: ChannelAccount, told: Mapping[str, str]) -> Notice:
    if told.get("notify_type") != "trade_status_sync":
        message = f"notify_type {told.get('notify_type', '')[:32]}"
        raise Garbled(message)
    word = _needed(told, "trade_status")
    returned = fen(told.get("refund_fee", "")) > 0 or bool(told.get("gmt_refund"))
    status = PaymentStatus.PENDING
    if word in _PAID:
        status = PaymentStatus.REFUNDED if returned else PaymentStatus.SUCCEEDED
    elif word == "TRADE_CLOSED":
        came = returned or bool(told.get("gmt_payment"))
        status = PaymentStatus.REFUNDED if came else PaymentStatus.CLOSED
    amount_fen = fen(told.get("total_amount", ""))
    trade_no = told.get("trade_no", "")
    if status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED) and (amount_fen == 0 or not trade_no):
        message = "a payment without its amount or its number"
        raise Garbled(message)
    return Notice(
        notice_id=_needed(told, "notify_id"),
        payment=ChannelPayment(
            attempt_no=_needed(told, "out_trade_no"),
            status=status,
            merchant_id=account.merchant_id,
            app_id=told["app_id"],
            channel_trade_no=trade_no,
            amount_fen=amount_fen,
            paid_at=moment(told.get("gmt_payment", "")),
            payer_id=told.get("buyer_open_id") or told.get("buyer_id", ""),
        ),
    )


def _needed(told: Mapping[str, str], name: str) -> str:
    value = told.get(name, "")
    if not value:
        message = f"{name} is missing"
        raise Garbled(message)
    return value
