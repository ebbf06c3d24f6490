"""What ``payments-fuzz`` breaks of cooperative medical care: signed answers and decoders; it sends no notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from _fuzz import Headers, Message, Target
from _fuzzkeys import account

from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.kit.http import Answer
from yimatong.payments.channels.abilities import BillLine as Line
from yimatong.payments.channels.abilities import Insured, PresettleRequest
from yimatong.payments.channels.base import ChannelAccount, Part, PlacedPayment, RefundRequest, Scene
from yimatong.payments.channels.ncms import transformers as wire
from yimatong.payments.channels.ncms.channel import believed

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
INSTITUTION, APP, SECRET, NONCE = "61010001", "ncms-h1", "5f" * 32, "5e" * 16
ORDER = "P20261123000000000001"
CLAIM = "C0001"
STATUS = ":status"
"""The status of an answer, among its headers, so that it is broken like them; a signature covers it."""
PRESETTLED: dict[str, Any] = {
    "claim_no": CLAIM,
    "leg_no": f"{ORDER}L01",
    "total_fen": 10_000,
    "fund_fen": 6_000,
    "account_fen": 500,
    "own_fen": 3_500,
    "member_no": "M1",
    "expires_at": "2026-11-23T10:00:00+08:00",
}
SETTLED: dict[str, Any] = {
    "attempt_no": f"{ORDER}A01",
    "state": "settled",
    "claim_no": CLAIM,
    "settlement_no": "S1",
    "fund_fen": 6_000,
    "account_fen": 500,
    "settled_at": "2026-11-23T09:31:00+08:00",
}
REFUNDED: dict[str, Any] = {
    "refund_no": f"{ORDER}R01",
    "state": "done",
    "fund_fen": 6_000,
    "account_fen": 500,
    "agency_refund_no": "B1",
    "done_at": "2026-11-23T09:32:00+08:00",
}
ASKED = PresettleRequest(
    leg_no=f"{ORDER}L01",
    order_no=ORDER,
    institution_id="h",
    visit_no="V1",
    description="门诊缴费",
    lines=(Line(name="西药费", amount_fen=10_000),),
    amount_fen=10_000,
    insured=Insured(name="王小明", id_type="01", id_number="1"),
    placed_at=NOW,
)
PLACED = PlacedPayment(
    attempt_no=f"{ORDER}A01",
    amount_fen=6_500,
    scene=Scene.DIRECT,
    part=Part.INSURANCE,
    placed_at=NOW,
    expires_at=NOW,
    references={"claim_no": CLAIM},
)
BACK = RefundRequest(
    refund_no=f"{ORDER}R01",
    payment=PLACED,
    refund_fen=6_500,
    reason="退费",
    notify_url="",
    asked_at=NOW,
    components={"fund_fen": 6_000, "account_fen": 500},
)
Read = Callable[[ChannelAccount, bytes], object]
READS: dict[str, tuple[tuple[dict[str, Any], ...], Read]] = {
    "presettled": ((PRESETTLED,), lambda _who, body: wire.presettled(body, ASKED)),
    "standing": (
        (
            SETTLED,
            {"attempt_no": PLACED.attempt_no, "state": "absent"},
            SETTLED | {"state": "settling", "settlement_no": "", "settled_at": None},
        ),
        lambda who, body: wire.standing(who, body, PLACED.attempt_no, CLAIM),
    ),
    "refunded": ((REFUNDED, REFUNDED | {"state": "processing"}), lambda who, body: wire.refunded(who, body, BACK)),
}

_NUMBERS = {"presettled": "member_no", "standing": "settlement_no", "refunded": "agency_refund_no"}


def targets() -> list[Target]:
    """Return every way in: each answer signed, as it comes, and what stands in it, as it would be if it were signed."""
    made = []
    own, others = _account(SECRET), [_account("a0" * 32), _account(SECRET[:-2])]
    for name, (contents, read) in READS.items():
        other = [each | {_NUMBERS[name]: "another"} for each in contents]  # whoever takes one takes what nobody said
        strays = [_signed(each, secret="a0" * 32) for each in other]
        strays += [_signed(each, nonce="5d" * 16) for each in other]
        strays += [_signed(each, status=409) for each in other]
        made += [
            Target(
                name=f"{name}-answer",
                shape="json",
                samples=[_signed(each) for each in contents],
                act=_answered(read),
                accounts=[own, *others],
                strays=strays,
                expected=(wire.Garbled,),
                weight=3 if name == "standing" else 2,
            ),
            Target(
                name=name,
                shape="json",
                samples=[({}, json.dumps(each).encode()) for each in contents],
                act=_plain(read),
                accounts=[own],
                signed=False,
                expected=(wire.Garbled,),
            ),
        ]
    return made


def _answered(read: Read) -> Callable[[Any, Headers, bytes], object]:
    def act(who: ChannelAccount, headers: Headers, body: bytes) -> object:
        said = headers.pop(STATUS, "")
        status = int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else 0
        return read(who, believed(who, Answer(status, headers, body), nonce=NONCE, verb="fuzz").body)

    return act


def _plain(read: Read) -> Callable[[Any, Headers, bytes], object]:
    return lambda who, _headers, body: read(who, body)


def _account(secret: str) -> ChannelAccount:
    return account("ncms", merchant=INSTITUTION, app=APP, secrets={"secret": secret})


def _signed(content: dict[str, Any], *, secret: str = SECRET, nonce: str = NONCE, status: int = 200) -> Message:
    body = json.dumps(content).encode()
    code = hmac_sm3(bytes.fromhex(secret), f"{status}\n{nonce}\n".encode() + body)
    return {STATUS: str(status), "x-sign": code.hex()}, body
