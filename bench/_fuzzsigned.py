"""What ``payments-fuzz`` breaks of parties that sign by a shared secret: notices, answers, what stands in them, bills.

Both of docs/spec/credit-payment.md and of docs/spec/commercial-insurance.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from _fuzz import Headers, Message, Target
from _fuzzkeys import account

from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.signed import signing
from yimatong.payments.channels.signed import transformers as wire
from yimatong.payments.channels.signed.channel import SignedChannel

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
DAY = date(2026, 11, 22)
MERCHANT, APP, SECRET, STALE, STRANGE, NONCE = "H0001", "app-h0001", "5f" * 32, "6e" * 32, "a0" * 32, "5e" * 16
STATUS = ":status"
"""The status of an answer, among its headers, so that it is broken like them; a signature covers it."""
PAYMENT: dict[str, Any] = {
    "payment_no": "P20261123000000000001A01",
    "merchant_id": MERCHANT,
    "state": "settled",
    "amount_fen": 1234,
    "trade_no": "T1",
    "settled_at": "2026-11-23T09:30:00+08:00",
}
REFUND: dict[str, Any] = {
    "refund_no": "P20261123000000000001R01",
    "payment_no": PAYMENT["payment_no"],
    "merchant_id": MERCHANT,
    "state": "done",
    "refund_fen": 34,
    "trade_no": "T2",
    "settled_at": "2026-11-23T09:31:00+08:00",
}
TOLD: tuple[dict[str, Any], ...] = (
    {"notice_id": "notice-0001", "kind": "payment", "payment": PAYMENT},
    {"notice_id": "notice-0002", "kind": "payment", "payment": PAYMENT | {"state": "declined", "reason": "OVER_LIMIT"}},
    {"notice_id": "notice-0003", "kind": "refund", "refund": REFUND},
)
REPLIES: tuple[dict[str, Any], ...] = (
    {"code": "OK", "payment": PAYMENT},
    {"code": "OK", "payment": PAYMENT | {"state": "pending", "settled_at": None}},
    {"code": "OVER_LIMIT", "message": "over the limit", "payment": PAYMENT | {"state": "declined"}},
)
REFUNDED: tuple[dict[str, Any], ...] = (
    {"code": "OK", "refund": REFUND},
    {"code": "OK", "refund": REFUND | {"state": "processing", "settled_at": None}},
)
BILL = (
    {"code": "OK", "merchant_id": MERCHANT, "day": DAY.isoformat(), "rows": 2, "paid_fen": 1234, "refunded_fen": 34},
    {"kind": "payment", "payment_no": "A", "trade_no": "T1", "amount_fen": 1234, "at": "2026-11-22T09:30:00+08:00"},
    {"kind": "refund", "payment_no": "A", "refund_no": "R", "trade_no": "T2", "amount_fen": 34,
     "at": "2026-11-22T09:31:00+08:00"},
)  # fmt: skip


def targets(channel: SignedChannel) -> list[Target]:
    """Return every way in of a channel that signs so."""
    name = channel.name
    foreign = [each | {each["kind"]: each[each["kind"]] | {"merchant_id": "H0009"}} for each in TOLD]
    late = [each | {"notice_id": "notice-9999"} for each in TOLD]
    strays = [_notice(each, secret=STRANGE) for each in late] + [_notice(each) for each in foreign]
    strays += [_notice(each, moment=NOW - timedelta(seconds=301)) for each in late]
    return [
        Target(
            name="notice",
            shape="json",
            samples=[*(_notice(each) for each in TOLD), _notice(TOLD[0], secret=STALE)],
            act=lambda who, headers, body: channel.read_notice(who, headers, body, now=NOW),
            accounts=[
                party(name),
                party(name, merchant="H0009"),
                party(name, app="app-9"),
                party(name, secret=STRANGE),
            ],
            strays=strays,
            weight=3,
        ),
        answers(name, "answer", REPLIES, another("payment", "trade_no"), _payment),
        answers(name, "refund-answer", REFUNDED, another("refund", "trade_no"), _refund),
        Target(
            name="told",
            shape="json",
            samples=[({}, json.dumps(each).encode()) for each in TOLD],
            act=lambda who, _headers, body: wire.decode_notice(body, who),
            accounts=[party(name)],
            signed=False,
            expected=(wire.Garbled,),
        ),
        Target(
            name="bill",
            shape="bytes",
            samples=[({}, b"\n".join(json.dumps(each).encode() for each in BILL) + b"\n")],
            act=lambda who, _headers, body: wire.check_bill(body, who, DAY),
            accounts=[party(name)],
            signed=False,
            expected=(wire.Garbled,),
        ),
    ]


def answers(
    channel: str,
    name: str,
    replies: Sequence[dict[str, Any]],
    stray: Callable[[dict[str, Any]], dict[str, Any]],
    read: Callable[[ChannelAccount, bytes], object],
) -> Target:
    """Return the way in of one kind of answer, signed as it comes.

    ``stray`` makes of an answer one that was never given (``another``).
    """
    others = [stray(each) for each in replies]

    def act(who: ChannelAccount, headers: Headers, body: bytes) -> object:
        said = headers.pop(STATUS, "")
        status = int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else 0
        signing.verify_answer(headers, body, status=status, nonce=NONCE, secrets_hex=wire.secrets_of(who))
        return read(who, body)

    return Target(
        name=name,
        shape="json",
        samples=[*(_answer(each) for each in replies), _answer(replies[0], secret=STALE)],
        act=act,
        accounts=[party(channel), party(channel, secret=STRANGE)],
        strays=[
            *(_answer(each, nonce="5d" * 16) for each in others),
            *(_answer(each, secret=STRANGE) for each in others),
        ],
        expected=(signing.Unverified, wire.Garbled),
        weight=3,
    )


def another(part: str, name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what makes of an answer one that was never given: another value of that name in its part."""
    return lambda reply: reply | {part: reply[part] | {name: "another"}}


def party(channel: str, *, merchant: str = MERCHANT, app: str = APP, secret: str = SECRET) -> ChannelAccount:
    """Return a merchant account; ours knows the secret that was rotated out and still counts, too."""
    kept = {"secret_hex": secret} | ({"previous_secret_hex": STALE} if secret == SECRET else {})
    return account(channel, merchant=merchant, app=app, secrets=kept)


def _payment(who: ChannelAccount, body: bytes) -> object:
    reply = wire.read(body, wire.Reply)
    return reply.code, wire.payment_of(reply.payment, who)


def _refund(_who: ChannelAccount, body: bytes) -> object:
    reply = wire.read(body, wire.Reply)
    return reply.code, wire.refund_of(reply.refund)


def _notice(told: dict[str, Any], *, secret: str = SECRET, moment: datetime = NOW) -> Message:
    body, timestamp = json.dumps(told).encode(), str(int(moment.timestamp()))
    code = hmac_sm3(bytes.fromhex(secret), f"NOTICE\n{timestamp}\n{NONCE}\n".encode() + body)
    return {"x-app-id": APP, "x-timestamp": timestamp, "x-nonce": NONCE, "x-sign": code.hex()}, body


def _answer(told: dict[str, Any], *, secret: str = SECRET, nonce: str = NONCE, status: int = 200) -> Message:
    body = json.dumps(told).encode()
    code = hmac_sm3(bytes.fromhex(secret), f"{status}\n{nonce}\n".encode() + body)
    return {STATUS: str(status), "x-sign": code.hex()}, body
