"""What ``payments-fuzz`` breaks of the banks of bound cards: all that is signed, and answers about codes and tokens."""

from __future__ import annotations

from typing import Any

import _fuzzsigned
from _fuzz import Target
from _fuzzsigned import MERCHANT, PAYMENT, another

from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.quickpay import transformers as quick
from yimatong.payments.channels.quickpay.channel import QuickPay
from yimatong.payments.channels.signed import transformers as wire

CODE_NONCE = "0a1b2c3d4e"
TOKEN: dict[str, Any] = {
    "token": "abc.DEF-123",
    "merchant_id": MERCHANT,
    "nonce": CODE_NONCE,
    "expires_at": "2026-11-23T10:05:00+08:00",
}
CHALLENGE: dict[str, Any] = {"payment_no": PAYMENT["payment_no"], "merchant_id": MERCHANT, "sent_to": "138****8000"}


def targets() -> list[Target]:
    """Return every way in."""
    channel = QuickPay(None, "")  # type: ignore[arg-type]
    return [
        *_fuzzsigned.targets(channel),
        _fuzzsigned.answers(
            channel.name, "token-answer", ({"code": "OK", "token": TOKEN},), another("token", "token"), _token
        ),
        _fuzzsigned.answers(
            channel.name,
            "challenge-answer",
            ({"code": "OK", "challenge": CHALLENGE},),
            another("challenge", "sent_to"),
            _challenge,
        ),
    ]


def _token(who: ChannelAccount, body: bytes) -> object:
    reply = wire.read(body, quick.TokenReply)
    return reply.code, quick.decode_token(reply, who, CODE_NONCE)


def _challenge(who: ChannelAccount, body: bytes) -> object:
    reply = wire.read(body, quick.ChallengeReply)
    return reply.code, quick.decode_challenge(reply, who, PAYMENT["payment_no"])
