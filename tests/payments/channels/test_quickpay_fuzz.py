"""Whatever the bank of bound cards sends: a reading or a named error, and never an accepted forgery.

``YMT_FUZZ_EXAMPLES`` asks for more examples of each test than the few hundred of every run.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer
from yimatong.kit.masking import Secret
from yimatong.payments.channels.abilities import PaymentToken
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.quickpay import transformers as quick
from yimatong.payments.channels.quickpay.channel import QuickPay
from yimatong.payments.channels.signed import transformers as wire
from yimatong.payments.errors import ChannelRefused, NoticeNotGenuine

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SECRET = "5f" * 32
NONCE = "0a1b2c3d4e"
FUZZ = settings(
    max_examples=int(os.environ.get("YMT_FUZZ_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ACCOUNT = ChannelAccount(
    account_id="q",
    institution_id="h",
    channel="quickpay",
    merchant_id="H0001",
    app_id="app-h0001",
    secrets={"secret_hex": Secret(SECRET)},
)
TOKEN = {"token": "abc.DEF-123", "merchant_id": "H0001", "nonce": NONCE, "expires_at": "2026-11-23T10:05:00+08:00"}
CHALLENGE = {"payment_no": "P1A01", "merchant_id": "H0001", "sent_to": "138****8000"}
TOLD = {
    "notice_id": "0f1e2d3c4b5a6978",
    "kind": "payment",
    "payment": {"payment_no": "P1A01", "merchant_id": "H0001", "state": "settled", "amount_fen": 1234},
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _calm():
    """No simulated world is needed here."""


def changed(original, name):
    """Replace fields of a reply's inner object, or the whole of it."""
    fields = st.dictionaries(st.sampled_from(sorted(original)), values, max_size=3)
    return fields.map(lambda change: json.dumps({"code": "OK", name: original | change}).encode())


@FUZZ
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()) | changed(TOKEN, "token"))
def test_a_token_is_the_one_asked_for_or_garbled(body):
    try:
        found = quick.decode_token(wire.read(body, quick.TokenReply), ACCOUNT, NONCE, token=TOKEN["token"])
    except wire.Garbled:
        return
    assert found == PaymentToken(token=TOKEN["token"], expires_at=found.expires_at)
    assert found.expires_at.tzinfo is not None


@FUZZ
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()) | changed(CHALLENGE, "challenge"))
def test_a_challenge_is_of_this_payment_or_garbled(body):
    try:
        sent_to = quick.decode_challenge(wire.read(body, quick.ChallengeReply), ACCOUNT, "P1A01")
    except wire.Garbled:
        return
    assert 0 < len(sent_to) <= 40


class _Line:
    """A wire that gives back one answer, signed for the nonce that was asked with or not at all."""

    def __init__(self, body: bytes, *, signed: bool, spoil: bytes = b"") -> None:
        self.body, self.signed, self.spoil = body, signed, spoil

    async def send(self, _party, _method, _url, *, body, headers):
        assert json.loads(body)["merchant_id"] == "H0001"
        content = f"200\n{headers['X-Nonce']}\n".encode() + self.body
        sign = hmac_sm3(bytes.fromhex(SECRET), content + self.spoil).hex()
        return Answer(status=200, headers={"x-sign": sign} if self.signed else {}, body=self.body)


@FUZZ
@given(st.binary(max_size=120) | changed(TOKEN, "token"), st.sampled_from(["genuine", "unsigned", "spoilt"]))
async def test_an_answer_that_is_not_signed_gives_no_token(body, kind):
    channel = QuickPay(_Line(body, signed=kind != "unsigned", spoil=b"?" if kind == "spoilt" else b""), "http://b")
    with suppress(PartyOutcomeUnknown, ChannelRefused):
        given_token = await channel.give_token(ACCOUNT, agreement_no="A", nonce=NONCE, expires_at=NOW, now=NOW)
        assert kind == "genuine"
        assert json.loads(body)["token"]["token"] == given_token.token


@FUZZ
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_a_bill_adds_up_or_is_garbled(body):
    with suppress(wire.Garbled):
        assert wire.check_bill(body, ACCOUNT, date(2026, 11, 23)).code


@FUZZ
@given(st.data())
def test_a_changed_notice_is_never_taken(data):
    body, stamp = json.dumps(TOLD).encode(), str(int(NOW.timestamp()))
    code = hmac_sm3(bytes.fromhex(SECRET), f"NOTICE\n{stamp}\nn1\n".encode() + body).hex()
    headers = {"x-app-id": "app-h0001", "x-timestamp": stamp, "x-nonce": "n1", "x-sign": code}
    channel = QuickPay(None, "")
    assert channel.read_notice(ACCOUNT, headers, body, now=NOW).payment is not None
    start = data.draw(st.integers(0, len(body)))
    other = body[:start] + data.draw(st.binary(min_size=1, max_size=6)) + body[start + data.draw(st.integers(0, 6)) :]
    if other != body:
        with pytest.raises(NoticeNotGenuine):
            channel.read_notice(ACCOUNT, headers, other, now=NOW)
