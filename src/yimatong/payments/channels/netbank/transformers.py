"""Between the port's structs and the banks' documents. Pure.

Words of ``tranStat``: 0 paid, not cleared; 1 paid and cleared; 2 failed; 3 doubtful (ICBC's handbook); 4 expired,
5 paid and refunded (``generic``). A 2 is about one try: the same order can be tried again, so it is final only when
the order cannot be paid any more. Whatever else is pending.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from msgspec.structs import replace

from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    FormPost,
    Notice,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
)
from yimatong.payments.channels.netbank import signing
from yimatong.payments.channels.netbank.documents import Document, Garbled, Tree, amount, stamp, write
from yimatong.payments.channels.netbank.profiles import Profile

DONE: Final = "0"
ORDER_NOT_FOUND: Final = "ORDER_NOT_FOUND"
REFUND_NOT_FOUND: Final = "REFUND_NOT_FOUND"
NO_FILE: Final = "NO_FILE"
BUSY: Final = "BUSY"
GOODS_NAME_MAX: Final = 30
REMARK_MAX: Final = 40
FILE_CHARSET: Final = "GBK"
FILE_COLUMNS: Final = 8

TRAN_STAT: Final = {
    "0": PaymentStatus.SUCCEEDED,
    "1": PaymentStatus.SUCCEEDED,
    "2": PaymentStatus.FAILED,
    "4": PaymentStatus.CLOSED,
    "5": PaymentStatus.REFUNDED,
}
REFUND_STAT: Final = {
    "0": RefundStatus.PROCESSING,
    "1": RefundStatus.SUCCEEDED,
    "2": RefundStatus.ABNORMAL,
    "3": RefundStatus.CLOSED,
}


def order_form(profile: Profile, account: ChannelAccount, intent: PaymentIntent) -> FormPost:
    """Return the form by which the payer's browser brings a signed order to the bank's page."""
    return FormPost(
        url=account.profile["pay_url"],
        fields=envelope(profile, account, write(profile, "B2CReq", _order(profile, account, intent))),
        charset=profile.charset,
    )


def envelope(profile: Profile, account: ChannelAccount, document: bytes) -> dict[str, str]:
    """Return the fields of every request: which interface, the document, its signature, our certificate."""
    return {
        "interfaceName": profile.interface_name,
        "interfaceVersion": profile.interface_version,
        "tranData": signing.encoded(document),
        "merSignMsg": signing.sign(str(account.secrets["private_key_pem"]), document),
        "merCert": account.profile.get("mer_cert", ""),
    }


def _order(profile: Profile, account: ChannelAccount, intent: PaymentIntent) -> Tree:
    goods: Tree = {
        "orderid": intent.attempt_no,
        "amount": amount(profile, intent.amount_fen),
        "installmentTimes": "1",
        "merAcct": account.profile.get("mer_acct", account.app_id),
        "goodsID": "",
        "goodsName": intent.description[:GOODS_NAME_MAX],
        "goodsNum": "1",
        "carriageAmt": "",
    }
    order: dict[str, str | Tree] = {
        "orderDate": stamp(intent.placed_at),
        "curType": profile.currency,
        "merID": account.merchant_id,
        "subOrderInfoList": {"subOrderInfo": goods},
    }
    message: dict[str, str | Tree] = {
        "creditType": "2",
        "notifyType": "HS",
        "resultType": "1",
        "merReference": account.profile.get("reference", ""),
        "merCustomIp": intent.client_ip,
        "goodsType": "0",
        **dict.fromkeys(("merCustomID", "merCustomPhone", "goodsAddress", "merOrderRemark", "merHint"), ""),
        **dict.fromkeys(("remark1", "remark2"), ""),
        "merURL": intent.notify_url,
        "merVAR": intent.attempt_no,
    }
    if profile.sends_expiry:
        order["expireTime"] = stamp(intent.expires_at)
        message["returnURL"] = intent.return_url
    return {
        "interfaceName": profile.interface_name,
        "interfaceVersion": profile.interface_version,
        "orderInfo": order,
        "custom": {"verifyJoinFlag": "0", "Language": "ZH_CN"},
        "message": message,
    }


def decode_notice(profile: Profile, account: ChannelAccount, body: bytes) -> Notice:
    """Return the payment of a verified notice (B2CRes). Raises ``Garbled``.

    A failed try is pending: the query says when the order cannot be paid any more.
    """
    told = Document(profile, body, root="B2CRes")
    if told.text("interfaceName") != profile.interface_name:
        message = "another interface"
        raise Garbled(message)
    one = "orderInfo/subOrderInfoList/subOrderInfo"
    word, serial = told.text("bank/tranStat"), told.text(f"{one}/tranSerialNo")
    status = TRAN_STAT.get(word, PaymentStatus.PENDING)
    payment = ChannelPayment(
        attempt_no=told.text(f"{one}/orderid"),
        status=PaymentStatus.PENDING if status is PaymentStatus.FAILED else status,
        merchant_id=told.text("orderInfo/merID"),
        app_id=account.app_id,
        channel_trade_no=serial,
        amount_fen=told.amount_fen(f"{one}/amount"),
        currency=told.currency("orderInfo/curType"),
        paid_at=told.moment("bank/notifyDate") if status is PaymentStatus.SUCCEEDED else None,
    )
    return Notice(notice_id=f"{payment.attempt_no}-{serial}-{word}"[:64], payment=payment)


def query_document(profile: Profile, account: ChannelAccount, payment: PlacedPayment, nonce: str) -> bytes:
    """Return the question how an order stands: by its number and its date."""
    return write(
        profile,
        "QueryReq",
        {
            "requestNo": nonce,
            "merID": account.merchant_id,
            "orderid": payment.attempt_no,
            "orderDate": stamp(payment.placed_at),
        },
    )


def decode_query(
    profile: Profile, account: ChannelAccount, payment: PlacedPayment, told: Document, *, now: datetime
) -> ChannelPayment:
    """Return the payment of a verified answer whose ``retCode`` is 0 or ORDER_NOT_FOUND.

    An order that the bank has not heard of is pending as long as the payer may still bring it there, then absent.

    Raises:
        Garbled: about another order, or without what a payment needs.
    """
    over = now >= profile.payable_until(payment)
    unheard = ChannelPayment(
        attempt_no=payment.attempt_no,
        status=PaymentStatus.ABSENT if over else PaymentStatus.PENDING,
        merchant_id=account.merchant_id,
        app_id=account.app_id,
    )
    if told.text("retCode") == ORDER_NOT_FOUND:
        return unheard
    if (told.text("orderid"), told.text("merID")) != (payment.attempt_no, account.merchant_id):
        message = "the answer is about another order"
        raise Garbled(message)
    status = TRAN_STAT.get(told.text("tranStat"), PaymentStatus.PENDING)
    if status is PaymentStatus.FAILED and not over:
        status = PaymentStatus.PENDING
    paid = status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED)
    return replace(
        unheard,
        status=status,
        channel_trade_no=told.text("tranSerialNo"),
        amount_fen=told.amount_fen("amount"),
        currency=told.currency("curType"),
        paid_at=told.moment("notifyDate") if paid else None,
    )


def refund_document(profile: Profile, account: ChannelAccount, request: RefundRequest, nonce: str) -> bytes:
    """Return the question that asks for a refund."""
    return write(
        profile,
        "RefundReq",
        {
            "requestNo": nonce,
            "merID": account.merchant_id,
            "orderid": request.payment.attempt_no,
            "orderDate": stamp(request.payment.placed_at),
            "refundNo": request.refund_no,
            "refundDate": stamp(request.asked_at),
            "refundAmt": amount(profile, request.refund_fen),
            "remark": request.reason[:REMARK_MAX],
        },
    )


def refund_query_document(profile: Profile, account: ChannelAccount, request: RefundRequest, nonce: str) -> bytes:
    """Return the question how a refund stands."""
    named = {"requestNo": nonce, "merID": account.merchant_id, "refundNo": request.refund_no}
    return write(profile, "RefundQueryReq", named)


def decode_refund(account: ChannelAccount, request: RefundRequest, told: Document) -> ChannelRefund:
    """Return the refund of a verified answer with ``retCode`` 0. Raises ``Garbled`` when it is about another one."""
    if (told.text("refundNo"), told.text("merID")) != (request.refund_no, account.merchant_id):
        message = "the answer is about another refund"
        raise Garbled(message)
    return ChannelRefund(
        refund_no=request.refund_no,
        attempt_no=told.text("orderid"),
        status=REFUND_STAT.get(told.text("refundStat"), RefundStatus.PROCESSING),
        merchant_id=account.merchant_id,
        channel_refund_no=told.text("bankRefundNo"),
        refund_fen=told.amount_fen("refundAmt"),
        succeeded_at=told.moment("finishDate"),
    )


def file_document(profile: Profile, account: ChannelAccount, day: date, nonce: str) -> bytes:
    """Return the question for the file of a day."""
    return write(profile, "FileReq", {"requestNo": nonce, "merID": account.merchant_id, "fileDate": f"{day:%Y%m%d}"})


def checked_file(account: ChannelAccount, day: date, told: Document, form: Mapping[str, str]) -> bytes:
    """Return the file of an answer with ``retCode`` 0, as the bank wrote it: GBK, cells parted by ``|``.

    The first line holds merchant, day, number of rows; every row has eight cells.

    Raises:
        Garbled: another digest than the signed one, another merchant or day, or rows that do not fit.
    """
    try:
        content = base64.b64decode(form.get("fileContent", ""), validate=True)
        text = content.decode(FILE_CHARSET)
    except (binascii.Error, ValueError) as error:
        message = f"the file: {error}"
        raise Garbled(message) from error
    if hashlib.sha256(content).hexdigest() != told.text("fileDigest").lower():
        message = "another SHA-256 than announced"
        raise Garbled(message)
    head, *rows = text.removesuffix("\n").replace("\r", "").split("\n")
    if head.split("|")[:3] != [account.merchant_id, f"{day:%Y%m%d}", str(len(rows))]:
        message = "merchant, day or number of rows do not fit the first line"
        raise Garbled(message)
    if any(row.count("|") != FILE_COLUMNS - 1 for row in rows):
        message = f"a row without {FILE_COLUMNS} cells"
        raise Garbled(message)
    return content
