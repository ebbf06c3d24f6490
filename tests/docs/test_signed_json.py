"""The signatures that docs/spec/credit-payment.md prints, computed by gmalg alone and by the product; its tables."""

import json
import re
from datetime import UTC, datetime

import gmalg
import pytest

from yimatong.payments.channels.commercial.channel import CommercialInsurer
from yimatong.payments.channels.credit.channel import CreditPayment
from yimatong.payments.channels.quickpay.channel import QuickPay
from yimatong.payments.channels.signed import signing
from yimatong.payments.channels.signed import transformers as wire

PAGE, OTHER = "docs/spec/credit-payment.md", "docs/spec/commercial-insurance.md"
QUICK = "docs/spec/quick-payment.md"


def hmac_sm3(key, data):
    """RFC 2104 over gmalg's SM3; the key is shorter than a block."""

    def sm3(content):
        state = gmalg.SM3()
        state.update(content)
        return state.value()

    padded = key.ljust(64, b"\0")
    return sm3(bytes(b ^ 0x5C for b in padded) + sm3(bytes(b ^ 0x36 for b in padded) + data)).hex()


@pytest.fixture(scope="module")
def printed(blocks):
    (text,) = blocks(PAGE, "vector")
    return dict(re.split(r" {2,}", row, maxsplit=1) for row in text.splitlines())


def test_printed_signatures_are_computed_again_without_our_code(printed):
    key, line = bytes.fromhex(printed["secret"]), f"{printed['timestamp']}\n{printed['nonce']}\n"
    assert hmac_sm3(key, f"POST\n{printed['path']}\n{line}{printed['body']}".encode()) == printed["question"]
    assert hmac_sm3(key, f"200\n{printed['nonce']}\n{printed['answer']}".encode()) == printed["answered"]
    assert hmac_sm3(key, f"NOTICE\n{line}{printed['notice']}".encode()) == printed["noticed"]


def test_the_adapter_signs_and_verifies_as_printed(printed):
    now = datetime.fromtimestamp(int(printed["timestamp"]), UTC)
    secret = printed["secret"]
    headers = signing.request_headers(
        app_id="app",
        secret_hex=secret,
        path=printed["path"],
        body=printed["body"].encode(),
        now=now,
        nonce=printed["nonce"],
    )
    assert headers["X-Sign"] == printed["question"]
    signing.verify_answer(
        {"x-sign": printed["answered"]},
        printed["answer"].encode(),
        status=200,
        nonce=printed["nonce"],
        secrets_hex=[secret],
    )
    told = {"x-app-id": "app", "x-timestamp": printed["timestamp"], "x-nonce": printed["nonce"]}
    told["x-sign"] = printed["noticed"]
    signing.verify_notice(told, printed["notice"].encode(), app_id="app", secrets_hex=[secret], now=now)
    with pytest.raises(signing.Unverified):
        signing.verify_notice(told, printed["notice"].encode() + b" ", app_id="app", secrets_hex=[secret], now=now)


def test_every_code_and_state_of_the_adapters_is_described(text_of):
    credit, commercial = text_of(PAGE), text_of(OTHER)
    common = {wire.NUMBER_USED, wire.OK, wire.UNKNOWN_NUMBER, wire.ALREADY_SETTLED, wire.BUSY, wire.BILL_NOT_READY}
    codes = set(re.findall(r"`([A-Z_]{2,})`", credit))
    assert common | CreditPayment.refusals <= codes
    assert CommercialInsurer.refusals <= codes | set(re.findall(r"`([A-Z_]{2,})`", commercial))
    assert QuickPay.refusals <= codes | set(re.findall(r"`([A-Z_]{2,})`", text_of(QUICK)))
    words = set(re.findall(r"`([a-z]+)`", credit))
    assert set(wire.PAYMENT_STATUS) | set(wire.REFUND_STATUS) <= words


def test_the_printed_question_is_json(printed):
    assert json.loads(printed["body"])["payment_no"].startswith("P")
