from __future__ import annotations

import json
from datetime import timedelta

import pytest

from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import PaymentStatus, RefundStatus
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood
from yimatong.sandbox.store import Store
from yimatong.sandbox.wechat.notify import envelope
from yimatong.sandbox.wechat.rows import Merchant
from yimatong.sandbox.wechat.state import WeChat

NOW = clock.now()
PAID = {
    "mchid": "1900000109",
    "appid": "wx8888888888888888",
    "out_trade_no": "NOTICE0001",
    "transaction_id": "4200001",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-23T09:30:00+08:00",
    "amount": {"total": 1234, "currency": "CNY"},
    "payer": {"openid": "oPayer"},
}
REFUNDED = {
    "mchid": "1900000109",
    "out_trade_no": "NOTICE0001",
    "out_refund_no": "R-1",
    "refund_id": "5030",
    "refund_status": "SUCCESS",
    "success_time": "2026-11-23T09:31:00+08:00",
    "amount": {"total": 1234, "refund": 34},
}


@pytest.fixture(scope="module")
def sender(tmp_path_factory, enrolled):
    """The simulator's own sender, with a platform key of its own."""
    wechat = WeChat(Store(tmp_path_factory.mktemp("sender")))
    wechat.register(
        Merchant(
            mchid=enrolled.mchid,
            appid=enrolled.appid,
            serial_no=enrolled.serial_no,
            public_key_pem=enrolled.platform_public_key_pem,
            api_v3_key=enrolled.api_v3_key,
        )
    )
    yield wechat
    wechat.store.close()


@pytest.fixture(scope="module")
def receiver(account, sender):
    keys = {"platform_key_id": sender.key.key_id, "platform_public_key_pem": sender.key.public_pem}
    facts = {name: getattr(account, name) for name in account.__struct_fields__}
    secrets = dict(account.secrets) | {name: Secret(value) for name, value in keys.items()}
    return account.__class__(**(facts | {"secrets": secrets}))


def made(sender, resource, event="TRANSACTION.SUCCESS", *, moment=NOW):
    sender.notify("1900000109", "http://127.0.0.1:9/n", (event, "transaction", "支付成功"), resource, moment)
    body = envelope(sender, list(sender.notices)[-1])
    headers = {name.lower(): value for name, value in sender.key.headers(body, moment=moment).items()}
    return headers, body


@pytest.fixture
def read(receiver):
    channel = WeChatPay(None, "")

    def call(headers, body, *, account=receiver, now=NOW):
        return channel.read_notice(account, headers, body, now=now)

    return call


def test_genuine_payment_and_refund(sender, read):
    payment = read(*made(sender, PAID)).payment
    assert (payment.attempt_no, payment.status, payment.amount_fen) == ("NOTICE0001", PaymentStatus.SUCCEEDED, 1234)
    refund = read(*made(sender, REFUNDED, "REFUND.SUCCESS")).refund
    assert (refund.refund_no, refund.status, refund.refund_fen) == ("R-1", RefundStatus.SUCCEEDED, 34)


def test_one_bit_changed_is_forged(sender, read):
    headers, body = made(sender, PAID)
    with pytest.raises(NoticeNotGenuine):
        read(headers, body.replace(b"SUCCESS", b"SUCCESs"))
    with pytest.raises(NoticeNotGenuine):
        read(headers | {"wechatpay-nonce": "0" * 32}, body)


@pytest.mark.parametrize("name", ["timestamp", "nonce", "signature", "serial"])
def test_every_header_is_needed(sender, read, name):
    headers, body = made(sender, PAID)
    del headers[f"wechatpay-{name}"]
    with pytest.raises(NoticeNotGenuine):
        read(headers, body)


@pytest.mark.parametrize(
    ("name", "value"),
    [("serial", "PUB_KEY_ID_0"), ("timestamp", "soon"), ("signature", "%%"), ("signature-type", "WECHATPAY2-SM2")],
)
def test_strange_headers_are_refused(sender, read, name, value):
    headers, body = made(sender, PAID)
    with pytest.raises(NoticeNotGenuine):
        read(headers | {f"wechatpay-{name}": value}, body)


def test_probe_signature_is_refused(sender, read):
    headers, body = made(sender, PAID)
    probe = {"wechatpay-signature": "WECHATPAY/SIGNTEST/" + headers["wechatpay-signature"]}
    with pytest.raises(NoticeNotGenuine) as refused:
        read(headers | probe, body)
    assert refused.value.audit == "a probe signature"


@pytest.mark.parametrize(("age_s", "genuine"), [(299, True), (-299, True), (302, False), (-302, False)])
def test_window_of_five_minutes(sender, read, age_s, genuine):
    headers, body = made(sender, PAID)
    now = NOW.replace(microsecond=0) + timedelta(seconds=age_s)
    if genuine:
        assert read(headers, body, now=now).payment is not None
    else:
        with pytest.raises(NoticeNotGenuine):
            read(headers, body, now=now)


def test_another_merchant_s_notice_is_not_ours(sender, read, receiver):
    with pytest.raises(NoticeNotGenuine):
        read(*made(sender, PAID | {"mchid": "1900000999"}))
    facts = {name: getattr(receiver, name) for name in receiver.__struct_fields__}
    other = receiver.__class__(**(facts | {"secrets": dict(receiver.secrets) | {"api_v3_key": Secret("k" * 32)}}))
    with pytest.raises(NoticeNotGenuine):
        read(*made(sender, PAID), account=other)


def test_previous_platform_key_still_counts_during_a_change(sender, read, account, receiver):
    facts = {name: getattr(receiver, name) for name in receiver.__struct_fields__}
    changing = dict(account.secrets) | {
        "previous_key_id": Secret(sender.key.key_id),
        "previous_public_key_pem": Secret(sender.key.public_pem),
    }
    both = receiver.__class__(**(facts | {"secrets": changing}))
    assert read(*made(sender, PAID), account=both).payment is not None


def test_genuine_and_not_understood(sender, read):
    with pytest.raises(NoticeNotUnderstood):
        read(*made(sender, PAID, "COUPON.USE"))
    with pytest.raises(NoticeNotUnderstood):
        read(*made(sender, {"mchid": "1900000109"}))
    with pytest.raises(NoticeNotUnderstood):
        read(*made(sender, PAID | {"success_time": "2026-11-23T09:30:00"}))


def test_unknown_states_stay_pending(sender, read):
    assert read(*made(sender, PAID | {"trade_state": "ACCEPT"})).payment.status is PaymentStatus.PENDING
    refund = read(*made(sender, REFUNDED | {"refund_status": "WHO_KNOWS"}, "REFUND.SUCCESS")).refund
    assert refund.status is RefundStatus.PROCESSING


def test_signed_body_that_is_no_notice(sender, read):
    body = json.dumps({"id": "1"}).encode()
    headers = {name.lower(): value for name, value in sender.key.headers(body, moment=NOW).items()}
    with pytest.raises(NoticeNotUnderstood):
        read(headers, body)
