"""Between the port's structs and the fields of UnionPay 5.1.0. Pure.

Sources: open.unionpay.com, 《全渠道平台接入接口规范》 (gateway, mobile controls, 二维码, 无跳转 token), and the
vendor's published demonstrations. A transaction is known by merchant, ``orderId`` **and** ``txnTime`` (Beijing): both
stay the same when a request is sent again.

Not certain from public sources, and therefore in the tables below for a merchant to check when it is admitted:
what a query says of a reversed payment (``45`` is read as reversed), and that the query of an opening (78/02) also
answers for openings made without UnionPay's page. ``A6`` (成功但有缺陷) and ``42`` (paid after the time to pay) stay
pending: the bill of the day decides.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from yimatong.kit.clock import BEIJING
from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    Notice,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.unionpay import signing

VERSION = "5.1.0"
CNY = "156"
PC, MOBILE = "07", "08"


class Kind(NamedTuple):
    """How a transaction is named on the wire: 交易类型, 交易子类, 产品类型."""

    txn_type: str
    sub_type: str
    biz_type: str


PLACE = {
    Scene.PAGE: Kind("01", "01", "000201"),  # 网关支付, 前台
    Scene.H5: Kind("01", "01", "000201"),  # 手机网页支付 (WAP), 前台
    Scene.APP: Kind("01", "01", "000201"),  # 手机控件, appTransReq
    Scene.NATIVE: Kind("01", "07", "000000"),  # 二维码主扫: 申请消费二维码
    Scene.BARCODE: Kind("01", "06", "000000"),  # 二维码被扫: 消费
    Scene.AGREEMENT: Kind("01", "01", "000902"),  # 无跳转 token: 消费
}
QUERY = Kind("00", "00", "000000")
REFUND = Kind("04", "00", "")  # the product of the payment
REVERSE = Kind("99", "01", "")  # 冲正; published for 二维码, taken to hold for 无跳转 too
OPEN_SMS = Kind("77", "00", "000902")
OPEN = Kind("79", "00", "000902")
OPEN_QUERY = Kind("78", "02", "000902")
PAY_SMS = Kind("77", "02", "000902")
DELETE_TOKEN = Kind("74", "01", "000902")
FILE = Kind("76", "01", "000000")

FRONT = frozenset({Scene.PAGE, Scene.H5, Scene.APP, Scene.NATIVE})
"""The payer acts at UnionPay until the time to pay is over; until then nothing is final but success."""
CODE_LIVES = timedelta(minutes=5)
"""So long an SMS code may be on its way back; the true time is in no public source."""
MARGIN = timedelta(minutes=5)
"""So long after the time to pay an unpaid transaction counts as closed."""

DONE, DEFECTIVE, REPEATED, UNKNOWN_NUMBER, TOO_OFTEN, TAKEN_BACK, NO_FILE = "00", "A6", "12", "34", "37", "45", "98"
REFUSED = frozenset(
    {"10", "11", "13", "30", "31", "32", "33", "35", "36", "38", "39", "40", "43", "44", "45"}
    | {str(code) for code in range(61, 80)}
)
"""应答码 that say plainly: declined, no money moved. 01, 02, 12, 34, 60 and all unknown ones are asked about again."""


class Garbled(Exception):
    """A genuine message that does not have the published shape; the text says where, for the audit only."""


def txn_time(moment: datetime) -> str:
    """Return 订单发送时间: ``YYYYMMDDhhmmss``, Beijing."""
    return f"{moment.astimezone(BEIJING):%Y%m%d%H%M%S}"


def secret(account: ChannelAccount, name: str) -> str:
    """Return one of the account's secrets as a plain string; empty when the account has none."""
    return str(account.secrets.get(name, ""))


def sign_method(account: ChannelAccount) -> str:
    """Return the account's signMethod; ``01`` when it says nothing."""
    return account.profile.get("sign_method", signing.RSA)


def common(account: ChannelAccount, kind: Kind, order_no: str, moment: datetime, channel_type: str) -> dict[str, str]:
    """Return what every request carries."""
    method = sign_method(account)
    return {
        "version": VERSION,
        "encoding": "UTF-8",
        "signMethod": method,
        "certId": secret(account, "cert_id") if method == signing.RSA else "",
        "txnType": kind.txn_type,
        "txnSubType": kind.sub_type,
        "bizType": kind.biz_type,
        "channelType": channel_type,
        "accessType": "0",
        "merId": account.merchant_id,
        "orderId": order_no,
        "txnTime": txn_time(moment),
    }


def encode_intent(account: ChannelAccount, intent: PaymentIntent) -> dict[str, str]:
    """Return the fields that place a payment, not yet signed; ``intent.scene`` is one of ``PLACE``."""
    channel_type = PC if intent.scene in (Scene.PAGE, Scene.BARCODE, Scene.AGREEMENT) else MOBILE
    fields = common(account, PLACE[intent.scene], intent.attempt_no, intent.placed_at, channel_type)
    fields |= {"txnAmt": str(intent.amount_fen), "currencyCode": CNY, "backUrl": intent.notify_url}
    if intent.scene in FRONT:
        fields["payTimeout"] = txn_time(intent.expires_at)
    if intent.scene in (Scene.PAGE, Scene.H5):
        fields |= {"frontUrl": intent.return_url, "riskRateInfo": braces(commodityName=_plain(intent.description))}
    if intent.scene is Scene.BARCODE:
        fields |= {"accType": "01", "qrNo": intent.auth_code, "termId": intent.terminal_no[-8:]}
    return fields


def encode_query(account: ChannelAccount, order_no: str, placed_at: datetime) -> dict[str, str]:
    """Return the fields of 交易状态查询 for a payment or a refund."""
    return common(account, QUERY, order_no, placed_at, PC)


def encode_refund(account: ChannelAccount, request: RefundRequest) -> dict[str, str]:
    """Return the fields of 退货; the payment is named by its queryId and, for 二维码, by number and time too."""
    payment = request.payment
    kind = Kind(REFUND.txn_type, REFUND.sub_type, PLACE[payment.scene].biz_type)
    fields = common(account, kind, request.refund_no, request.asked_at, PC)
    return fields | {
        "origQryId": payment.channel_trade_no,
        "txnAmt": str(request.refund_fen),
        "currencyCode": CNY,
        "backUrl": request.notify_url,
    }


def encode_reversal(account: ChannelAccount, payment: PlacedPayment) -> dict[str, str]:
    """Return the fields of 冲正, which names the payment by its own number and time."""
    kind = Kind(REVERSE.txn_type, REVERSE.sub_type, PLACE[payment.scene].biz_type)
    return common(account, kind, payment.attempt_no, payment.placed_at, MOBILE)


def encode_file(account: ChannelAccount, settle_date: str, *, now: datetime) -> dict[str, str]:
    """Return the fields of 对账文件下载; ``settle_date`` is MMDD."""
    fields = common(account, FILE, "", now, PC)
    return fields | {"fileType": "00", "settleDate": settle_date}


def decode_query(
    told: Mapping[str, str], account: ChannelAccount, payment: PlacedPayment, *, now: datetime
) -> ChannelPayment:
    """Return how a payment stands by the answer to a query. Raises ``Garbled``."""
    code = told.get("respCode", "")
    over = now >= payment.expires_at + MARGIN
    if code == UNKNOWN_NUMBER:
        return _silent(account, payment, _unknown_status(account, payment, over=over, now=now))
    if code != DONE:
        return _silent(account, payment, PaymentStatus.PENDING)
    if (told.get("orderId"), told.get("txnTime")) != (payment.attempt_no, txn_time(payment.placed_at)):
        message = "the answer is about another transaction"
        raise Garbled(message)
    original = told.get("origRespCode", "")
    if original == DONE:
        return decode_payment(told, account, PaymentStatus.SUCCEEDED)
    if payment.scene in FRONT:
        final = original in REFUSED or original == UNKNOWN_NUMBER
        return _silent(account, payment, PaymentStatus.CLOSED if over and final else PaymentStatus.PENDING)
    if original == TAKEN_BACK:
        return _silent(account, payment, PaymentStatus.CLOSED)
    return _silent(account, payment, PaymentStatus.FAILED if original in REFUSED else PaymentStatus.PENDING)


def decode_payment(told: Mapping[str, str], account: ChannelAccount, status: PaymentStatus) -> ChannelPayment:
    """Return a payment from a query's answer or a notice. Raises ``Garbled``."""
    currency = told.get("currencyCode", "")
    return ChannelPayment(
        attempt_no=told.get("orderId", ""),
        status=status,
        merchant_id=told.get("merId", ""),
        app_id=account.app_id,
        channel_trade_no=told.get("queryId", ""),
        amount_fen=fen(told.get("txnAmt", "")),
        currency="CNY" if currency == CNY else currency,
        paid_at=_trace_time(told),
        payer_id="",  # the card number comes encrypted or masked, and is not wanted
    )


def decode_refund(told: Mapping[str, str], account: ChannelAccount, request: RefundRequest) -> ChannelRefund:
    """Return how a refund stands by the answer to a query. Raises ``Garbled``."""
    code, original = told.get("respCode", ""), told.get("origRespCode", "")
    if code == UNKNOWN_NUMBER:
        return _refund(account, request, RefundStatus.ABSENT)
    if code != DONE:
        return _refund(account, request, RefundStatus.PROCESSING)
    if (told.get("orderId"), told.get("txnTime")) != (request.refund_no, txn_time(request.asked_at)):
        message = "the answer is about another transaction"
        raise Garbled(message)
    if original == DONE:
        return _refund(account, request, RefundStatus.SUCCEEDED, told)
    return _refund(account, request, RefundStatus.CLOSED if original in REFUSED else RefundStatus.PROCESSING, told)


def accepted_refund(told: Mapping[str, str], account: ChannelAccount, request: RefundRequest) -> ChannelRefund:
    """Return a refund that UnionPay has taken up. Raises ``Garbled``."""
    return _refund(account, request, RefundStatus.PROCESSING, told)


def decode_notice(told: Mapping[str, str], account: ChannelAccount) -> Notice:
    """Return what a verified notice says of a payment (01) or a refund (04).

    Only ``respCode`` 00 is settled; A6 and everything else is pending until a query says more.

    Raises:
        Garbled: another kind of transaction, or a shape that is not the published one.
    """
    kind, code = told.get("txnType", ""), told.get("respCode", "")
    name = f"{kind}-{told.get('orderId', '')}-{told.get('queryId', '')}-{code}"
    if not told.get("orderId"):
        message = "a notice without an order number"
        raise Garbled(message)
    if kind == REFUND.txn_type:
        settled = code == DONE
        refund = ChannelRefund(
            refund_no=told["orderId"],
            attempt_no="",
            status=RefundStatus.SUCCEEDED if settled else RefundStatus.PROCESSING,
            merchant_id=told.get("merId", ""),
            channel_refund_no=told.get("queryId", ""),
            refund_fen=fen(told.get("txnAmt", "")),
            succeeded_at=_trace_time(told) if settled else None,
        )
        return Notice(notice_id=name, refund=refund)
    if kind == "01":
        status = PaymentStatus.SUCCEEDED if code == DONE else PaymentStatus.PENDING
        return Notice(notice_id=name, payment=decode_payment(told, account, status))
    message = f"a notice of the kind {kind[:8]}"
    raise Garbled(message)


def braces(**parts: str) -> str:
    """Return ``{name=value&name=value}``, the form of composed fields; empty values are left out."""
    return "{" + "&".join(f"{name}={value}" for name, value in parts.items() if value) + "}"


def read_braces(text: str) -> dict[str, str]:
    """Read ``{name=value&name=value}``. Raises ``Garbled``."""
    if not (text.startswith("{") and text.endswith("}")):
        message = "a composed field without its braces"
        raise Garbled(message)
    return dict(part.partition("=")[::2] for part in text[1:-1].split("&") if part)


def customer_info(encrypt: Callable[[str], str], *, phone: str = "", **parts: str) -> str:
    """Return ``customerInfo``: base64 of a composed field, the phone number encrypted inside it."""
    sealed = encrypt(f"phoneNo={phone}") if phone else ""
    return base64.b64encode(braces(**parts, encryptedInfo=sealed).encode()).decode()


def read_customer_info(text: str) -> dict[str, str]:
    """Read ``customerInfo``. Raises ``Garbled``."""
    try:
        return read_braces(base64.b64decode(text, validate=True).decode())
    except ValueError as error:  # of base64 or of UTF-8
        message = "customerInfo is not base64"
        raise Garbled(message) from error


def fen(text: str) -> int:
    """Return an amount in fen. Raises ``Garbled``."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):  # noqa: PLR2004 -- N12 of the specification
        message = f"an amount {text[:16]!r}"
        raise Garbled(message)
    return int(text)


def _plain(text: str) -> str:
    """Take out what would end a composed field; UnionPay has no way to write it."""
    return "".join(" " if character in "{}&=[]" else character for character in text)[:60]


def _unknown_status(account: ChannelAccount, payment: PlacedPayment, *, over: bool, now: datetime) -> PaymentStatus:
    if payment.scene not in FRONT:
        # While the payer may still be typing her SMS code, UnionPay has not heard of the payment, and will.
        coded = payment.scene is Scene.AGREEMENT and account.profile.get("sms") != "no"
        return PaymentStatus.PENDING if coded and now < payment.placed_at + CODE_LIVES else PaymentStatus.ABSENT
    # UnionPay knows a front transaction only once the payer has begun; until the time to pay is over she still may.
    return PaymentStatus.CLOSED if over else PaymentStatus.PENDING


def _silent(account: ChannelAccount, payment: PlacedPayment, status: PaymentStatus) -> ChannelPayment:
    return ChannelPayment(
        attempt_no=payment.attempt_no, status=status, merchant_id=account.merchant_id, app_id=account.app_id
    )


def _refund(
    account: ChannelAccount, request: RefundRequest, status: RefundStatus, told: Mapping[str, str] | None = None
) -> ChannelRefund:
    told = told or {}
    return ChannelRefund(
        refund_no=request.refund_no,
        attempt_no=request.payment.attempt_no,
        status=status,
        merchant_id=account.merchant_id,
        channel_refund_no=told.get("queryId", ""),
        refund_fen=fen(told["txnAmt"]) if told.get("txnAmt") else 0,
        succeeded_at=_trace_time(told) if status is RefundStatus.SUCCEEDED else None,
    )


def _trace_time(told: Mapping[str, str]) -> datetime | None:
    """Return 交易传输时间 (MMDDhhmmss, Beijing) in the year nearest to ``txnTime``. Raises ``Garbled``."""
    text, sent = told.get("traceTime", ""), told.get("txnTime", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and sent.isascii() and sent.isdecimal() and sent[:2] == "20"):
        message = "a time that is none"
        raise Garbled(message)
    try:
        about = datetime.strptime(sent, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError as error:
        message = "a time that is none"
        raise Garbled(message) from error
    found = [moment for year in (-1, 0, 1) if (moment := _moment(f"{about.year + year:04d}{text}")) is not None]
    if not found:
        message = "a time that is none"
        raise Garbled(message)
    return min(found, key=lambda moment: abs(moment - about))


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None
