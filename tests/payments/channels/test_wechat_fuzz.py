"""Whatever comes in as a notice or an answer of WeChat Pay: a named error, or exactly what was signed.

``YMT_FUZZ_EXAMPLES`` asks for more examples of each test. ``ymt bench payments-fuzz`` does the same by the million.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.wechat import bills, certificates, connection, medical, notices, refunds
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.channels.wechat.channel import payment_in
from yimatong.payments.channels.wechat.mixed import mixed_in
from yimatong.payments.errors import (
    BillBroken,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
    NoticeNotUnderstood,
)
from yimatong.sandbox.wechat.keys import PlatformKey, seal

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
API_KEY, MERCHANT = "0123456789abcdef0123456789abcdef", "1900000109"
PAID = {
    "mchid": MERCHANT,
    "appid": "wx88",
    "out_trade_no": "P1A01",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-23T09:30:00+08:00",
    "amount": {"total": 1234, "currency": "CNY"},
}
MIXED = {
    "mix_trade_no": "1",
    "out_trade_no": "P1A01",
    "mix_pay_status": "MIX_PAY_SUCCESS",
    "self_pay_status": "SELF_PAY_SUCCESS",
    "med_ins_pay_status": "NO_MED_INS_PAY",
    "attach": MERCHANT,
    "total_fee": 5,
    "wechat_pay_cash_fee": 5,
}
EVENTS = ("TRANSACTION.SUCCESS", "REFUND.SUCCESS", "MEDICAL_INSURANCE.SUCCESS", "COUPON.USE", "")
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(
    ["SUCCESS", "2026-11-23T09:30:00+08:00", "2026-11-23T09:30:00", MERCHANT, 0, -1, 2**63]
)  # fmt: skip
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))
SHAPED = st.builds(
    lambda base, changes, gone: {name: value for name, value in (base | changes).items() if name not in gone},
    st.sampled_from([PAID, MIXED, {"out_refund_no": "R", "out_trade_no": "P1A01", "mchid": MERCHANT}]),
    st.dictionaries(st.sampled_from(sorted({*PAID, *MIXED, "refund_status", "payer"})), TREES, max_size=3),
    st.sets(st.sampled_from(sorted({*PAID, *MIXED})), max_size=2),
)
HEADERS = st.dictionaries(st.sampled_from(["timestamp", "nonce", "signature", "serial"]), st.text())
CODES = st.text() | st.sampled_from(["ORDERPAID", "SYSTEM_ERROR", "FREQUENCY_LIMITED"])
FEW = settings(
    max_examples=int(os.environ.get("YMT_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def _calm():
    """No simulated world is needed here."""


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return PlatformKey(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def account(key):
    secrets = {
        "api_v3_key": API_KEY,
        "platform_key_id": key.key_id,
        "platform_public_key_pem": key.public_pem,
    }
    return ChannelAccount(
        account_id="a",
        institution_id="h",
        channel="wechat",
        merchant_id=MERCHANT,
        app_id="wx88",
        secrets={name: Secret(value) for name, value in secrets.items()},
    )


def sent(key, resource: bytes, event: str) -> tuple[dict[str, str], bytes]:
    """Return a genuine notice around any resource."""
    sealed = seal(resource.decode(), api_v3_key=API_KEY, associated_data="transaction")
    facts = {"id": "n1", "event_type": event, "resource_type": "encrypt-resource", "resource": sealed}
    body = msgspec.json.encode(facts)
    return {name.lower(): value for name, value in key.headers(body, moment=NOW).items()}, body


@FEW
@given(
    body=st.binary(), names=st.dictionaries(st.sampled_from(["timestamp", "nonce", "signature", "serial"]), st.text())
)
@example(body=b"", names={"timestamp": "²", "nonce": "", "signature": "é", "serial": "\ud800"})
def test_strangers_are_never_taken(account, key, body, names):
    headers = {f"wechatpay-{name}": value for name, value in names.items()}
    for more in ({}, {"wechatpay-serial": key.key_id, "wechatpay-timestamp": str(int(NOW.timestamp()))}):
        with pytest.raises(NoticeNotGenuine):
            notices.read_notice(account, headers | more, body, now=NOW)


@FEW
@given(tree=SHAPED | TREES, event=st.sampled_from(EVENTS))
def test_any_signed_resource_is_read_or_refused_by_name(account, key, tree, event):
    try:
        resource = msgspec.json.encode(tree)
    except (msgspec.MsgspecError, OverflowError, UnicodeEncodeError):
        return
    headers, body = sent(key, resource, event)
    try:
        notice = notices.read_notice(account, headers, body, now=NOW)
    except (NoticeNotGenuine, NoticeNotUnderstood):
        return
    about = notice.payment or notice.refund
    assert about.merchant_id == MERCHANT
    assert tree["out_trade_no"] == about.attempt_no


@FEW
@given(data=st.data())
def test_a_changed_notice_is_refused(account, key, data):
    headers, body = sent(key, msgspec.json.encode(data.draw(st.sampled_from([PAID, MIXED]))), "TRANSACTION.SUCCESS")
    place = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.binary(max_size=3))
    changed = body[:place] + other + body[place + data.draw(st.integers(0, 3)) :]
    if changed != body:
        with pytest.raises(NoticeNotGenuine):
            notices.read_notice(account, headers, changed, now=NOW)
    name = data.draw(st.sampled_from(["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial"]))
    value = data.draw(st.text())
    if value != headers[name]:
        with pytest.raises(NoticeNotGenuine):
            notices.read_notice(account, headers | {name: value}, body, now=NOW)
    age = data.draw(st.integers(301, 10**6)) * data.draw(st.sampled_from([1, -1]))
    with pytest.raises(NoticeNotGenuine):
        notices.read_notice(account, headers, body, now=NOW + timedelta(seconds=age))


@FEW
@given(body=st.binary() | (SHAPED | TREES).map(repr).map(str.encode) | SHAPED.map(str).map(str.encode))
def test_answers_that_are_not_the_published_shape_are_unknown(account, body):
    for read in (
        lambda: payment_in(Answer(200, {}, body), account, "P1A01"),
        lambda: refunds.refund_in(Answer(200, {}, body), account, "R"),
        lambda: mixed_in(Answer(200, {}, body), "P1A01"),
        lambda: connection.code_of(Answer(400, {}, body)),
        lambda: certificates.opened(body, API_KEY),
    ):
        with pytest.raises(PartyOutcomeUnknown):
            read()


@FEW
@given(tree=SHAPED)
def test_shaped_answers_are_read_or_unknown(account, tree):
    try:
        body = msgspec.json.encode(tree)
    except (msgspec.MsgspecError, OverflowError, UnicodeEncodeError):
        return
    for read in (
        lambda: payment_in(Answer(200, {}, body), account, "P1A01").attempt_no == "P1A01",
        lambda: refunds.refund_in(Answer(200, {}, body), account, "R").refund_no == "R",
        lambda: sum(medical.payment_of(mixed_in(Answer(200, {}, body), "P1A01"), account).components.values()) >= 0,
    ):
        try:
            assert read()
        except (PartyOutcomeUnknown, wire.Garbled):
            continue


@FEW
@given(
    status=st.integers(400, 499), code=st.text() | st.sampled_from(["ORDERPAID", "SYSTEM_ERROR", "FREQUENCY_LIMITED"])
)
def test_every_refusal_has_a_name(status, code):
    try:
        body = msgspec.json.encode({"code": code, "message": "x"})
    except UnicodeEncodeError:
        return
    with pytest.raises((ChannelAlreadyPaid, ChannelBusy, ChannelRefused, PartyOutcomeUnknown)):
        connection.done(Answer(status, {}, body))


@FEW
@given(body=st.binary(), wrapped=st.booleans(), cut=st.integers(0, 40))
def test_a_bill_is_its_hash_or_broken(body, wrapped, cut):
    place = wire.BillPlace("SHA1", hashlib.sha1(body).hexdigest(), "")
    packed = zlib.compress(body, wbits=31) if wrapped else body
    came = packed[: len(packed) - cut]
    try:
        assert bills.plain(came, place) == body
    except BillBroken:
        assert came != packed or came.startswith(b"\x1f\x8b")
