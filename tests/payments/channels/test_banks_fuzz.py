"""Whatever a bank, a guarantor or an insurer sends: a named error or a reading, and never an accepted forgery.

``YMT_FUZZ_EXAMPLES`` asks for more examples of each test than the few hundred of every run.
"""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from datetime import UTC, date, datetime
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount, Notice
from yimatong.payments.channels.commercial.channel import CommercialInsurer
from yimatong.payments.channels.commercial.transformers import PresettleReply
from yimatong.payments.channels.netbank import signing as bank_signing
from yimatong.payments.channels.netbank import transformers as bank
from yimatong.payments.channels.netbank.channel import NetBank
from yimatong.payments.channels.netbank.documents import Document, Garbled
from yimatong.payments.channels.netbank.profiles import PROFILES
from yimatong.payments.channels.signed import transformers as wire
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SECRET = "5f" * 32
FUZZ = settings(
    max_examples=int(os.environ.get("YMT_FUZZ_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


@pytest.fixture(autouse=True)
def _calm():
    """No simulated world is needed here."""


def bank_account(name: str) -> ChannelAccount:
    return ChannelAccount(
        account_id="n",
        institution_id="h",
        channel="netbank",
        merchant_id="0200EC20001119",
        app_id="0200",
        secrets={"private_key_pem": Secret(PRIVATE), "bank_public_key_pem": Secret(PUBLIC)},
        profile={"bank": name},
    )


SIGNED = ChannelAccount(
    account_id="c",
    institution_id="h",
    channel="commercial",
    merchant_id="H0001",
    app_id="app-h0001",
    secrets={"secret_hex": Secret(SECRET)},
)
NOTICE = (
    '<?xml version="1.0" encoding="{charset}"?><B2CRes><interfaceName>{interface}</interfaceName>'
    "<orderInfo><orderDate>20261123093000</orderDate><curType>001</curType><merID>0200EC20001119</merID>"
    "<subOrderInfoList><subOrderInfo><orderid>P20261123834137392902A01</orderid><amount>1234</amount>"
    "<tranSerialNo>HFG1</tranSerialNo></subOrderInfo></subOrderInfoList></orderInfo>"
    "<bank><notifyDate>20261123093100</notifyDate><tranStat>1</tranStat><comment>交易成功！</comment></bank></B2CRes>"
)
TOLD = {
    "notice_id": "0f1e2d3c4b5a6978",
    "kind": "payment",
    "payment": {
        "payment_no": "P1A01",
        "merchant_id": "H0001",
        "state": "settled",
        "amount_fen": 1234,
        "trade_no": "T1",
        "settled_at": "2026-11-23T10:00:00+08:00",
        "components": {"claim_fen": 1234},
    },
}
names = st.sampled_from(sorted(PROFILES))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def written(name: str) -> bytes:
    profile = PROFILES[name]
    text = NOTICE.format(charset=profile.charset, interface=profile.interface_name)
    return text.encode(profile.charset)


@st.composite
def mutated(draw, original: st.SearchStrategy[bytes]) -> bytes:
    """Cut, repeat, overwrite: what is still close to a message."""
    body = bytearray(draw(original))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 12)))
        body[start:end] = draw(
            st.binary(max_size=6) | st.sampled_from([b"<", b"&#0;", b"</", b"\x00", b"\xff", b"9" * 30])
        )
    return bytes(body)


@FUZZ
@given(names, st.binary(max_size=300) | st.text(max_size=200).map(str.encode) | mutated(names.map(written)))
def test_a_bank_s_documents_are_read_or_garbled(name, body):
    profile = PROFILES[name]
    try:
        notice = bank.decode_notice(profile, bank_account(name), body)
    except Garbled:
        return
    assert notice.payment is not None
    assert notice.payment.amount_fen >= 0


@FUZZ
@given(names, st.data())
def test_a_bank_s_changed_notice_is_never_taken(name, data):
    document = written(name)
    form = bank_signing.encoded(document), bank_signing.sign(PRIVATE, document)
    genuine = urlencode({"merVAR": "x", "notifyData": form[0], "signMsg": form[1]}).encode()
    body = data.draw(mutated(st.just(genuine)) | st.binary(max_size=200))
    try:
        notice = NetBank(None).read_notice(bank_account(name), {}, body, now=NOW)
    except (NoticeNotGenuine, NoticeNotUnderstood):
        return
    fields = bank_signing.fields(body)
    assert base64.b64decode(fields["notifyData"], validate=True) == document
    assert notice == NetBank(None).read_notice(bank_account(name), {}, genuine, now=NOW)


@FUZZ
@given(names, st.binary(max_size=120) | st.text("0123456789|支付\n", max_size=80).map(lambda text: text.encode("gbk")))
def test_a_bank_s_file_is_checked_or_garbled(name, content):
    profile = PROFILES[name]
    facts = f"<FileRes><fileDigest>{'0' * 64}</fileDigest></FileRes>"
    told = Document(profile, facts.encode(), root="FileRes")
    for field in (base64.b64encode(content).decode(), content.decode("latin-1")):
        with pytest.raises(Garbled):
            bank.checked_file(bank_account(name), date(2026, 11, 23), told, {"fileContent": field})


@FUZZ
@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_signed_json_is_read_or_garbled(body):
    for shape in (wire.Reply, PresettleReply, wire.BillHead):
        try:
            wire.read(body, shape)
        except wire.Garbled:
            continue
    with suppress(wire.Garbled):
        assert isinstance(wire.decode_notice(body, SIGNED), Notice)
    with suppress(wire.Garbled):
        assert wire.check_bill(body, SIGNED, date(2026, 11, 23)).code


@FUZZ
@given(st.dictionaries(st.sampled_from(sorted(TOLD["payment"])), json_values, max_size=3))
def test_a_payment_with_changed_fields_adds_up_or_is_garbled(change):
    body = json.dumps(TOLD | {"payment": TOLD["payment"] | change}).encode()
    try:
        payment = wire.decode_notice(body, SIGNED).payment
    except wire.Garbled:
        return
    assert payment is not None
    assert not payment.components or sum(payment.components.values()) == payment.amount_fen
    assert payment.paid_at is None or payment.paid_at.tzinfo is not None


@FUZZ
@given(st.data())
def test_a_changed_signed_notice_is_never_taken(data):
    body = json.dumps(TOLD).encode()
    stamp = str(int(NOW.timestamp()))
    code = hmac_sm3(bytes.fromhex(SECRET), f"NOTICE\n{stamp}\nn1\n".encode() + body).hex()
    headers = {"x-app-id": "app-h0001", "x-timestamp": stamp, "x-nonce": "n1", "x-sign": code}
    channel = CommercialInsurer(None, "")
    assert channel.read_notice(SIGNED, headers, body, now=NOW).payment is not None
    changed = data.draw(mutated(st.just(body)))
    name = data.draw(st.sampled_from(sorted(headers)))
    other = headers | {name: data.draw(st.text(max_size=70))}
    for heads, told in ((headers, changed), (other, body)):
        if (heads, told) == (headers, body):
            continue
        with pytest.raises(NoticeNotGenuine):
            channel.read_notice(SIGNED, heads, told, now=NOW)
