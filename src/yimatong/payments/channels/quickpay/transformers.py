"""Between the port's structs and docs/spec/quick-payment.md: what it has beyond signed JSON. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.payments.channels.abilities import PaymentToken
from yimatong.payments.channels.base import ChannelAccount, PaymentIntent
from yimatong.payments.channels.signed import transformers as wire

TOKEN_PATTERN = r"^[A-Za-z0-9._~=/+-]{1,208}(?!\n)$"  # noqa: S105 -- the characters of a token, not one
"""What can stand behind ``P.`` in a code (the platform's code specification allows 210 characters with it)."""


class _Challenge(msgspec.Struct, frozen=True, kw_only=True):
    payment_no: str
    merchant_id: str
    sent_to: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class ChallengeReply(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the answer to a challenge: where the code went, masked."""

    code: str
    message: str = ""
    challenge: _Challenge | None = None


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    token: Annotated[str, msgspec.Meta(pattern=TOKEN_PATTERN)]
    merchant_id: str
    nonce: str
    expires_at: datetime


class TokenReply(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the answer to a token that was asked for, or checked."""

    code: str
    message: str = ""
    token: _Token | None = None


def encode_pay(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return the question of a payment: by agreement and SMS code, or by a token."""
    return wire.encode_intent(account, intent) | {
        "agreement_no": intent.agreement_no,
        "sms_code": intent.answer,
        "token": intent.auth_code,
    }


def encode_challenge(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return the question that has a code sent for one payment: number, agreement and amount are tied to it."""
    return {
        "merchant_id": account.merchant_id,
        "payment_no": intent.attempt_no,
        "agreement_no": intent.agreement_no,
        "amount_fen": intent.amount_fen,
    }


def encode_give(account: ChannelAccount, agreement_no: str, nonce: str, expires_at: datetime) -> dict[str, Any]:
    """Return the question that asks for a token."""
    return {
        "merchant_id": account.merchant_id,
        "agreement_no": agreement_no,
        "nonce": nonce,
        "expires_at": rfc3339(expires_at),
    }


def encode_check(account: ChannelAccount, token: str, nonce: str) -> dict[str, Any]:
    """Return the question whether a token holds for a nonce."""
    return {"merchant_id": account.merchant_id, "token": token, "nonce": nonce}


def decode_challenge(reply: ChallengeReply, account: ChannelAccount, attempt_no: str) -> str:
    """Return where the code went. Raises ``Garbled`` when the answer is about another payment."""
    told = reply.challenge
    if told is None or (told.payment_no, told.merchant_id) != (attempt_no, account.merchant_id):
        message = "the answer is about another payment"
        raise wire.Garbled(message)
    return told.sent_to


def decode_token(reply: TokenReply, account: ChannelAccount, nonce: str, *, token: str = "") -> PaymentToken:
    """Return the token that an answer tells of; with ``token`` it must be that one.

    Raises:
        Garbled: another merchant, nonce or token, or a time without its offset.
    """
    told = reply.token
    if told is None or (told.merchant_id, told.nonce) != (account.merchant_id, nonce) or token not in ("", told.token):
        message = "the answer is about another token"
        raise wire.Garbled(message)
    if told.expires_at.tzinfo is None:
        message = "a time without its offset"
        raise wire.Garbled(message)
    return PaymentToken(token=told.token, expires_at=told.expires_at)
