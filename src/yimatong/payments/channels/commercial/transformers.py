"""Between the port's structs and docs/spec/commercial-insurance.md. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.payments.channels.abilities import PresettledPart, PresettleRequest
from yimatong.payments.channels.base import ChannelAccount, PaymentIntent
from yimatong.payments.channels.signed import transformers as wire

CLAIM: Final = "claim_fen"
"""The one component of a claim."""
PRESETTLE_NO: Final = "presettle_no"


class _Presettlement(msgspec.Struct, frozen=True, kw_only=True):
    leg_no: str
    merchant_id: str
    presettle_no: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    covered_fen: wire.Fen
    expires_at: datetime | None = None


class PresettleReply(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the answer to a pre-settlement."""

    code: str
    message: str = ""
    presettlement: _Presettlement | None = None


def encode_presettle(account: ChannelAccount, request: PresettleRequest) -> dict[str, Any]:
    """Return the question of a pre-settlement. It carries personal data: it goes over TLS and is never logged."""
    return {
        "merchant_id": account.merchant_id,
        "leg_no": request.leg_no,
        "order_no": request.order_no,
        "visit_no": request.visit_no,
        "description": request.description[: wire.DESCRIPTION_MAX],
        "amount_fen": request.amount_fen,
        "placed_at": rfc3339(request.placed_at),
        "lines": [
            {"name": line.name, "code": line.code, "quantity": line.quantity, "amount_fen": line.amount_fen}
            for line in request.lines
        ],
        "insured": {
            "name": str(request.insured.name),
            "id_type": request.insured.id_type,
            "id_number": str(request.insured.id_number),
            "policy_no": str(request.insured.credential_no),
        },
    }


def decode_presettled(reply: PresettleReply, account: ChannelAccount, request: PresettleRequest) -> PresettledPart:
    """Return what the insurer would pay.

    Raises:
        Garbled: about another bill, more than the bill, or a time without its offset.
    """
    told = reply.presettlement
    if told is None or (told.leg_no, told.merchant_id) != (request.leg_no, account.merchant_id):
        message = "the answer is about another bill"
        raise wire.Garbled(message)
    if told.covered_fen > request.amount_fen:
        message = "more than the bill"
        raise wire.Garbled(message)
    if told.expires_at is not None and told.expires_at.tzinfo is None:
        message = "a time without its offset"
        raise wire.Garbled(message)
    return PresettledPart(
        amount_fen=told.covered_fen,
        components={CLAIM: told.covered_fen},
        references={PRESETTLE_NO: told.presettle_no},
        expires_at=told.expires_at,
    )


def encode_claim(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return the question of a claim: the payment, and the pre-settlement that it carries out."""
    return wire.encode_intent(account, intent) | {
        PRESETTLE_NO: intent.references.get(PRESETTLE_NO, ""),
        "components": dict(intent.components) or {CLAIM: intent.amount_fen},
    }
