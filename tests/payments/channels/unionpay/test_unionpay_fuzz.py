"""Whatever comes: named errors only, and nothing forged is believed (Hypothesis)."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.unionpay import files, signing
from yimatong.payments.channels.unionpay import transformers as wire
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.payments.errors import NoticeNotGenuine

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "unionpay_5_1_0.json").read_text("utf-8"))
THEN = datetime(2022, 9, 8, 6, tzinfo=UTC)
ACCOUNT = ChannelAccount(
    account_id="a",
    institution_id="h",
    channel="unionpay",
    merchant_id="777290058167151",
    app_id="",
    secrets={"root_cert_pem": Secret(VECTORS["root_pem"]), "middle_cert_pem": Secret(VECTORS["middle_pem"])},
)
CHANNEL = UnionPay(Outbound(), "http://127.0.0.1:9", "http://127.0.0.1:9")
NOTICE = urlencode(VECTORS["notice"]).encode()
ANSWER = VECTORS["answers"]["query"].encode()
calm = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(body: bytes):
    return CHANNEL.read_notice(ACCOUNT, {}, body, now=THEN)


@pytest.fixture(scope="session")
def world():
    """These tests call nobody."""
    return


@pytest.fixture(autouse=True)
def _calm():
    """Nothing to calm."""


def test_the_genuine_notice_is_believed():
    assert read(NOTICE).payment.amount_fen == 1


@calm
@given(st.binary(max_size=400))
def test_any_bytes_are_no_notice(body):
    with pytest.raises(NoticeNotGenuine):
        read(body)


@calm
@given(st.integers(0, len(NOTICE) - 1), st.integers(1, 255))
def test_one_changed_byte_is_no_notice_or_the_same(place, change):
    """A changed byte may leave the fields as they are (the case of a percent code); then the notice is the same."""
    body = bytearray(NOTICE)
    body[place] ^= change
    try:
        told = read(bytes(body))
    except NoticeNotGenuine:
        return
    assert signing.read_form(bytes(body)).keys() <= VECTORS["notice"].keys()
    assert told == read(NOTICE)


@calm
@given(st.dictionaries(st.sampled_from(sorted(VECTORS["notice"])), st.text(max_size=40), min_size=1))
def test_no_changed_field_is_believed(changes):
    fields = VECTORS["notice"] | changes
    if fields == VECTORS["notice"]:
        return
    try:
        body = urlencode(fields).encode()
    except UnicodeEncodeError:
        return
    with pytest.raises(NoticeNotGenuine):
        read(body)


@calm
@given(st.integers(0, len(ANSWER)), st.binary(max_size=6))
def test_answers_with_bytes_put_in(place, inserted):
    body = ANSWER[:place] + inserted + ANSWER[place:]
    try:
        fields = signing.read_answer(body)
        signing.verify(
            fields,
            method="01",
            root_pem=VECTORS["root_pem"],
            middle_pem=VECTORS["middle_pem"],
            cn=signing.UNIONPAY_CN,
            secure_key="",
            now=datetime(2024, 1, 6, tzinfo=UTC),
        )
    except signing.Unverified:
        return
    genuine = signing.read_answer(ANSWER)
    assert {name: value for name, value in fields.items() if value} == genuine


@calm
@given(st.dictionaries(st.sampled_from(sorted([*VECTORS["notice"], "origRespCode"])), st.text(max_size=30)))
def test_signed_nonsense_is_garbled_and_never_a_crash(fields):
    """What a verified message could say at worst."""
    try:
        notice = wire.decode_notice(fields, ACCOUNT)
    except wire.Garbled:
        return
    assert (notice.payment is None) != (notice.refund is None)
    if notice.payment is not None and fields.get("respCode") != "00":
        assert notice.payment.status.value == "pending"


@calm
@given(st.binary(max_size=300), st.booleans())
def test_any_content_is_broken_or_has_no_file(content, squeezed):
    text = base64.b64encode(zlib.compress(content) if squeezed else content).decode()
    with pytest.raises(files.Broken):
        files.unpack(text, files.DETAIL)


@calm
@given(st.binary(max_size=700))
def test_any_record_has_its_fields_or_is_broken(record):
    for line in files.records_of(record):
        if len(line) < files.RECORD_BYTES:
            with pytest.raises(files.Broken):
                files.fields_of(line)
        else:
            assert len(files.fields_of(line)) == 42


@calm
@given(st.binary(max_size=200), st.integers(0, 400))
def test_archives_with_changed_bytes(noise, place):
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("INN26113088ZM_777290058110048", b"record" * 20)
    body = bytearray(archive.getvalue())
    body[place : place + len(noise)] = noise
    try:
        found = files.unpack(base64.b64encode(zlib.compress(bytes(body))).decode(), files.DETAIL)
    except files.Broken:
        return
    assert found is None or found == b"record" * 20


@calm
@given(st.text(max_size=60))
def test_composed_fields(text):
    for reader in (wire.read_braces, wire.read_customer_info, wire.fen):
        try:
            reader(text)
        except wire.Garbled:
            continue
