"""Between the port's structs and the JSON of docs/spec/cooperative-medical.md. Pure; amounts are whole fen.

The cooperative schemes that were not merged into the residents' insurance have no national interface for payments;
each province built its own. This protocol is the platform's offer to such an agency, and the pattern of an adapter to
another. Only an explicit state is mapped to a final one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.kit.money import AMOUNT_FEN_MAX
from yimatong.payments.channels.abilities import PresettledPart, PresettleRequest
from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
)

PAYMENT_STATUS = {
    "settling": PaymentStatus.PENDING,
    "settled": PaymentStatus.SUCCEEDED,
    "refunded": PaymentStatus.REFUNDED,
    "cancelled": PaymentStatus.CLOSED,
    "failed": PaymentStatus.FAILED,
    "absent": PaymentStatus.ABSENT,
}
REFUND_STATUS = {
    "processing": RefundStatus.PROCESSING,
    "done": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.CLOSED,
    "absent": RefundStatus.ABSENT,
}
_COMPONENTS = ("fund_fen", "account_fen")
Shape = TypeVar("Shape", bound=msgspec.Struct)
Fen = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_FEN_MAX)]


class Garbled(Exception):
    """A genuine message without its documented shape, or whose amounts do not add up; the text is for the audit."""


class Presettled(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``presettle``."""

    claim_no: str
    leg_no: str
    total_fen: Fen
    fund_fen: Fen
    account_fen: Fen
    own_fen: Fen
    member_no: str
    expires_at: datetime | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``settle`` and ``query``."""

    attempt_no: str
    state: str
    claim_no: str = ""
    settlement_no: str = ""
    fund_fen: Fen = 0
    account_fen: Fen = 0
    settled_at: datetime | None = None


class RefundStanding(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``refund`` and ``refund-query``."""

    refund_no: str
    state: str
    fund_fen: Fen = 0
    account_fen: Fen = 0
    agency_refund_no: str = ""
    done_at: datetime | None = None


class Refusal(msgspec.Struct, frozen=True):
    """What a 4xx answer says."""

    code: str
    message: str = ""


def read(body: bytes, shape: type[Shape]) -> Shape:
    """Decode a message. Raises ``Garbled``."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(str(error)) from error


def presettling(account: ChannelAccount, request: PresettleRequest) -> dict[str, Any]:
    """Return the question what would be paid of a bill."""
    insured = request.insured
    return {
        "leg_no": request.leg_no,
        "institution": account.merchant_id,
        "visit_no": request.visit_no,
        "placed_at": rfc3339(request.placed_at),
        "total_fen": request.amount_fen,
        "lines": [
            {"name": line.name, "code": line.code, "quantity": line.quantity, "amount_fen": line.amount_fen}
            for line in request.lines
        ],
        "member": {
            "name": insured.name,
            "id_type": insured.id_type,
            "id_number": insured.id_number,
            "card_no": str.__str__(insured.credential_no) if insured.credential == "card" else "",
        },
    }


def presettled(body: bytes, request: PresettleRequest) -> PresettledPart:
    """Return what would be paid. Raises ``Garbled``."""
    told = read(body, Presettled)
    parts = {"fund_fen": told.fund_fen, "account_fen": told.account_fen}
    if told.leg_no != request.leg_no or told.total_fen != request.amount_fen:
        message = "the answer is about another bill"
        raise Garbled(message)
    if sum(parts.values()) + told.own_fen != told.total_fen:
        message = "the parts do not add up to the bill"
        raise Garbled(message)
    return PresettledPart(
        amount_fen=sum(parts.values()),
        components={name: fen for name, fen in parts.items() if fen},
        references={
            "claim_no": told.claim_no,
            "member_no": told.member_no,
            "fund_fen": str(told.fund_fen),
            "account_fen": str(told.account_fen),
        },
        expires_at=_aware(told.expires_at),
    )


def settling(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return the order to settle: with the split that was promised, which the agency settles or refuses.

    Raises:
        Garbled: the references are not those of a presettlement.
    """
    return about(account, intent.references, intent.attempt_no) | {
        "fund_fen": promised(intent.references)["fund_fen"],
        "account_fen": promised(intent.references)["account_fen"],
        "placed_at": rfc3339(intent.placed_at),
    }


def about(account: ChannelAccount, known: Mapping[str, str], attempt_no: str) -> dict[str, Any]:
    """Return what names a settlement: ours and the claim. Raises ``Garbled``."""
    if not known.get("claim_no"):
        message = "no claim_no"
        raise Garbled(message)
    return {"attempt_no": attempt_no, "claim_no": known["claim_no"], "institution": account.merchant_id}


def promised(known: Mapping[str, str]) -> dict[str, int]:
    """Return the split that was presettled. Raises ``Garbled``."""
    try:
        return {name: int(known[name]) for name in _COMPONENTS}
    except (KeyError, ValueError) as error:
        message = "the references have no split"
        raise Garbled(message) from error


def standing(account: ChannelAccount, body: bytes, attempt_no: str, claim_no: str) -> ChannelPayment:
    """Return how a settlement stands. Raises ``Garbled``."""
    told = read(body, Standing)
    status = PAYMENT_STATUS.get(told.state, PaymentStatus.PENDING)
    if told.attempt_no != attempt_no or (status is not PaymentStatus.ABSENT and told.claim_no != claim_no):
        message = "the answer is about another settlement"
        raise Garbled(message)
    parts = {"fund_fen": told.fund_fen, "account_fen": told.account_fen}
    paid = status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED)
    if paid and not told.settlement_no:
        message = "a settlement without its number"
        raise Garbled(message)
    return ChannelPayment(
        attempt_no=attempt_no,
        status=status,
        merchant_id=account.merchant_id,
        app_id=account.app_id,
        channel_trade_no=told.settlement_no,
        amount_fen=sum(parts.values()) if paid else 0,
        components={name: fen for name, fen in parts.items() if fen} if paid else {},
        paid_at=_aware(told.settled_at),
    )


def refunding(account: ChannelAccount, request: RefundRequest) -> dict[str, Any]:
    """Return the order to give back. Raises ``Garbled`` when the components are not the amount."""
    parts = request.components
    if set(parts) - set(_COMPONENTS) or sum(parts.values()) != request.refund_fen:
        message = "the components are not the amount"
        raise Garbled(message)
    return refund_about(account, request) | {
        "fund_fen": parts.get("fund_fen", 0),
        "account_fen": parts.get("account_fen", 0),
        "reason": request.reason[:80],
    }


def refund_about(account: ChannelAccount, request: RefundRequest) -> dict[str, Any]:
    """Return what names a refund. Raises ``Garbled``."""
    payment: PlacedPayment = request.payment
    return about(account, payment.references, payment.attempt_no) | {"refund_no": request.refund_no}


def refunded(account: ChannelAccount, body: bytes, request: RefundRequest) -> ChannelRefund:
    """Return how a refund stands. Raises ``Garbled``."""
    told = read(body, RefundStanding)
    if told.refund_no != request.refund_no:
        message = "the answer is about another refund"
        raise Garbled(message)
    return ChannelRefund(
        refund_no=request.refund_no,
        attempt_no=request.payment.attempt_no,
        status=REFUND_STATUS.get(told.state, RefundStatus.PROCESSING),
        merchant_id=account.merchant_id,
        channel_refund_no=told.agency_refund_no,
        refund_fen=told.fund_fen + told.account_fen,
        succeeded_at=_aware(told.done_at),
    )


def _aware(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        message = "a time without its offset"
        raise Garbled(message)
    return moment
