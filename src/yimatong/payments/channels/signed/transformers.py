"""Between the port's structs and the signed JSON protocol. Pure.

Only an explicit state is mapped to a final one; a state that we do not know is pending, and a code that we do not know
is neither success nor refusal. Amounts are integer fen, times RFC 3339 with their offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.kit.money import AMOUNT_FEN_MAX
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
)

OK: Final = "OK"
UNKNOWN_NUMBER: Final = "UNKNOWN_NUMBER"
ALREADY_SETTLED: Final = "ALREADY_SETTLED"
BUSY: Final = "BUSY"
NUMBER_USED: Final = "NUMBER_USED"
BILL_NOT_READY: Final = "BILL_NOT_READY"
DECLINED: Final = "DECLINED"

PAYMENT_STATUS: Final = {
    "pending": PaymentStatus.PENDING,
    "settled": PaymentStatus.SUCCEEDED,
    "refunded": PaymentStatus.REFUNDED,
    "revoked": PaymentStatus.CLOSED,
    "declined": PaymentStatus.FAILED,
}
REFUND_STATUS: Final = {
    "processing": RefundStatus.PROCESSING,
    "done": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.ABNORMAL,
    "closed": RefundStatus.CLOSED,
}
DESCRIPTION_MAX: Final = 120
REASON_MAX: Final = 80

Fen = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_FEN_MAX)]
Shape = TypeVar("Shape", bound=msgspec.Struct)


class Garbled(Exception):
    """A signed message that does not have the published shape; the text says where, for the audit only."""


class _Payment(msgspec.Struct, frozen=True, kw_only=True):
    payment_no: str
    merchant_id: str
    state: str
    amount_fen: Fen
    trade_no: str = ""
    reason: str = ""
    settled_at: datetime | None = None
    components: dict[str, Fen] = {}


class _Refund(msgspec.Struct, frozen=True, kw_only=True):
    refund_no: str
    payment_no: str
    merchant_id: str
    state: str
    refund_fen: Fen
    trade_no: str = ""
    settled_at: datetime | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer: ``code`` is OK or says why not."""

    code: str
    message: str = ""
    payment: _Payment | None = None
    refund: _Refund | None = None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    notice_id: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    kind: Literal["payment", "refund"]
    payment: _Payment | None = None
    refund: _Refund | None = None


class BillHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a bill."""

    code: str
    message: str = ""
    merchant_id: str = ""
    day: str = ""
    rows: int = -1
    paid_fen: int = 0
    refunded_fen: int = 0


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """Every other line of a bill; ``kind`` says whether ``amount_fen`` was paid or went back."""

    kind: Literal["payment", "refund"]
    payment_no: str
    refund_no: str = ""
    trade_no: str
    amount_fen: Fen
    at: datetime


def read(body: bytes, shape: type[Shape]) -> Shape:
    """Decode a signed message. Raises ``Garbled``."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(str(error)) from error


def encode_intent(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return the question that places a payment, without what only one protocol has."""
    return {
        "merchant_id": account.merchant_id,
        "payment_no": intent.attempt_no,
        "amount_fen": intent.amount_fen,
        "description": intent.description[:DESCRIPTION_MAX],
        "placed_at": rfc3339(intent.placed_at),
        "expires_at": rfc3339(intent.expires_at),
        "notify_url": intent.notify_url,
    }


def encode_named(account: ChannelAccount, payment: PlacedPayment) -> dict[str, Any]:
    """Return the question about a payment: its query, its revocation."""
    return {"merchant_id": account.merchant_id, "payment_no": payment.attempt_no}


def encode_refund(account: ChannelAccount, request: RefundRequest) -> dict[str, Any]:
    """Return the question that asks for a refund."""
    return {
        "merchant_id": account.merchant_id,
        "refund_no": request.refund_no,
        "payment_no": request.payment.attempt_no,
        "refund_fen": request.refund_fen,
        "reason": request.reason[:REASON_MAX],
        "asked_at": rfc3339(request.asked_at),
        "notify_url": request.notify_url,
        "components": dict(request.components),
    }


def payment_of(told: _Payment | None, account: ChannelAccount) -> ChannelPayment:
    """Return the payment that an answer or a notice tells of.

    Raises:
        Garbled: there is none, its components do not add up, or its time has no offset.
    """
    if told is None:
        message = "no payment"
        raise Garbled(message)
    if told.components and sum(told.components.values()) != told.amount_fen:
        message = "the components do not add up to the amount"
        raise Garbled(message)
    return ChannelPayment(
        attempt_no=told.payment_no,
        status=PAYMENT_STATUS.get(told.state, PaymentStatus.PENDING),
        merchant_id=told.merchant_id,
        app_id=account.app_id,
        channel_trade_no=told.trade_no,
        amount_fen=told.amount_fen,
        paid_at=_aware(told.settled_at),
        components=told.components,
    )


def refund_of(told: _Refund | None) -> ChannelRefund:
    """Return the refund that an answer or a notice tells of. Raises ``Garbled`` when there is none."""
    if told is None:
        message = "no refund"
        raise Garbled(message)
    return ChannelRefund(
        refund_no=told.refund_no,
        attempt_no=told.payment_no,
        status=REFUND_STATUS.get(told.state, RefundStatus.PROCESSING),
        merchant_id=told.merchant_id,
        channel_refund_no=told.trade_no,
        refund_fen=told.refund_fen,
        succeeded_at=_aware(told.settled_at),
    )


def decode_notice(body: bytes, account: ChannelAccount) -> Notice:
    """Return a notice from its verified body. Raises ``Garbled``."""
    told = read(body, _Told)
    if told.kind == "payment":
        return Notice(notice_id=told.notice_id, payment=payment_of(told.payment, account))
    return Notice(notice_id=told.notice_id, refund=refund_of(told.refund))


def check_bill(body: bytes, account: ChannelAccount, day: date) -> BillHead:
    """Return the head of a bill after counting and adding up its lines.

    A head with another code than OK is returned as it is: there is no bill.

    Raises:
        Garbled: another merchant or day, a line that is none, or a count or sum that does not fit.
    """
    first, *lines = body.removesuffix(b"\n").split(b"\n")
    head = read(first, BillHead)
    if head.code != OK:
        return head
    if (head.merchant_id, head.day) != (account.merchant_id, day.isoformat()):
        message = "the bill of another merchant or day"
        raise Garbled(message)
    sums = {"payment": 0, "refund": 0}
    for line in lines:
        row = read(line, BillLine)
        sums[row.kind] += row.amount_fen
    if (head.rows, head.paid_fen, head.refunded_fen) != (len(lines), sums["payment"], sums["refund"]):
        message = "rows or sums do not fit the first line"
        raise Garbled(message)
    return head


def secrets_of(account: ChannelAccount) -> list[str]:
    """Return the account's secrets, the one to sign with first: ``secret_hex``, and ``previous_secret_hex`` if any.

    While a secret is changed over, answers and notices may still be signed with the previous one.
    """
    names: Mapping[str, object] = account.secrets
    return [str(account.secrets[name]) for name in ("secret_hex", "previous_secret_hex") if name in names]


def _aware(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        message = "a time without its offset"
        raise Garbled(message)
    return moment
