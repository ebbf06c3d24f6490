"""What ``payments-fuzz`` breaks of commercial insurers and credit providers: notices under a shared secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from _fuzz import Message, Target
from _fuzzkeys import account

from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.commercial.channel import CommercialInsurer
from yimatong.payments.channels.signed import transformers as wire

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
MERCHANT, APP, SECRET = "H0001", "app-h0001", "5f" * 32
PAYMENT = {
    "payment_no": "P20261123000000000001A01",
    "merchant_id": MERCHANT,
    "state": "settled",
    "amount_fen": 1234,
    "trade_no": "T1",
    "settled_at": "2026-11-23T09:30:00+08:00",
}
REFUND = {
    "refund_no": "P20261123000000000001R01",
    "payment_no": PAYMENT["payment_no"],
    "merchant_id": MERCHANT,
    "state": "settled",
    "refund_fen": 34,
    "trade_no": "T2",
    "settled_at": "2026-11-23T09:31:00+08:00",
}
TOLD: tuple[dict[str, Any], ...] = (
    {"notice_id": "notice-0001", "kind": "payment", "payment": PAYMENT},
    {"notice_id": "notice-0002", "kind": "payment", "payment": PAYMENT | {"state": "pending"}},
    {"notice_id": "notice-0003", "kind": "refund", "refund": REFUND},
)


def targets() -> list[Target]:
    """Return every way in."""
    own = _account(MERCHANT, APP, SECRET)
    others = [_account("H0009", APP, SECRET), _account(MERCHANT, "app-9", SECRET), _account(MERCHANT, APP, "a0" * 32)]
    channel = CommercialInsurer(None, "")  # type: ignore[arg-type]
    elsewhere = [_with_merchant(each, "H0009") for each in TOLD]
    strays = [_signed(each, secret="a0" * 32) for each in TOLD] + [_signed(each) for each in elsewhere]
    strays += [_signed(each, moment=NOW - timedelta(seconds=301)) for each in TOLD]
    return [
        Target(
            name="notice",
            shape="json",
            samples=[_signed(each) for each in TOLD],
            act=lambda who, headers, body: channel.read_notice(who, headers, body, now=NOW),
            accounts=[own, *others],
            strays=strays,
            weight=3,
        ),
        Target(
            name="told",
            shape="json",
            samples=[({}, json.dumps(each).encode()) for each in TOLD],
            act=lambda who, _headers, body: wire.decode_notice(body, who),
            accounts=[own],
            signed=False,
            expected=(wire.Garbled,),
        ),
    ]


def _with_merchant(told: dict[str, Any], merchant: str) -> dict[str, Any]:
    part = told["kind"]
    return told | {part: told[part] | {"merchant_id": merchant}}


def _account(merchant: str, app: str, secret: str) -> ChannelAccount:
    return account("commercial", merchant=merchant, app=app, secrets={"secret_hex": secret})


def _signed(told: dict[str, Any], *, secret: str = SECRET, moment: datetime = NOW) -> Message:
    body, timestamp, nonce = json.dumps(told).encode(), str(int(moment.timestamp())), "5e" * 16
    code = hmac_sm3(bytes.fromhex(secret), f"NOTICE\n{timestamp}\n{nonce}\n".encode() + body)
    return {"x-app-id": APP, "x-timestamp": timestamp, "x-nonce": nonce, "x-sign": code.hex()}, body
