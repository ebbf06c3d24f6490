"""Notices: sent by the simulator's own sender, read by the adapter; forged, foreign and odd ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.kit.http import Outbound
from yimatong.payments.channels.base import PaymentStatus, RefundStatus
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood

PAID = {
    "accessType": "0",
    "bizType": "000201",
    "currencyCode": "156",
    "encoding": "UTF-8",
    "merId": "777290058110048",
    "orderId": "NOTICE0001",
    "queryId": "261130180000123456789",
    "respCode": "00",
    "settleAmt": "1234",
    "traceNo": "123456",
    "traceTime": "1130180102",
    "txnAmt": "1234",
    "txnSubType": "01",
    "txnTime": "20261130180000",
    "txnType": "01",
    "version": "5.1.0",
}


@pytest.fixture
def sign(world, enrolled):
    """Sign as the running simulator does."""

    def made(fields, odd=""):
        return world._world.unionpay.authority.sign(dict(fields), enrolled.merchant, odd=odd)

    return made


@pytest.fixture
def read(account):
    channel = UnionPay(Outbound(), "http://127.0.0.1:9", "http://127.0.0.1:9")

    def of(fields, account=account, now=None):
        return channel.read_notice(account, {}, urlencode(fields).encode(), now=now or clock.now())

    return of


def test_a_paid_notice(sign, read):
    notice = read(sign(PAID))
    paid = notice.payment
    assert (paid.attempt_no, paid.status, paid.amount_fen) == ("NOTICE0001", PaymentStatus.SUCCEEDED, 1234)
    assert paid.paid_at == datetime(2026, 11, 30, 18, 1, 2, tzinfo=BEIJING)
    assert paid.channel_trade_no == PAID["queryId"]
    assert read(sign(PAID)).notice_id == notice.notice_id
    assert read(sign(PAID | {"respCode": "05"})).notice_id != notice.notice_id


@pytest.mark.parametrize("code", ["A6", "05", "64", "99", ""])
def test_everything_but_00_stays_pending(sign, read, code):
    assert read(sign(PAID | {"respCode": code})).payment.status is PaymentStatus.PENDING


def test_a_trace_time_across_new_year(sign, read):
    fields = PAID | {"txnTime": "20261231235958", "traceTime": "0101000001"}
    assert read(sign(fields)).payment.paid_at == datetime(2026, 12, 31, 16, 0, 1, tzinfo=UTC)
    leap = PAID | {"txnTime": "20280229120000", "traceTime": "0229120001"}
    assert read(sign(leap)).payment.paid_at == datetime(2028, 2, 29, 4, 0, 1, tzinfo=UTC)


def test_a_refund_notice(sign, read):
    fields = PAID | {"txnType": "04", "txnSubType": "00", "orderId": "NOTICE0001R1", "origQryId": "1"}
    refund = read(sign(fields)).refund
    assert (refund.refund_no, refund.status, refund.refund_fen) == ("NOTICE0001R1", RefundStatus.SUCCEEDED, 1234)
    assert read(sign(fields | {"respCode": "61"})).refund.status is RefundStatus.PROCESSING


@pytest.mark.parametrize("odd", ["signature", "chain", "cn"])
def test_forged_notices(sign, read, odd):
    with pytest.raises(NoticeNotGenuine):
        read(sign(PAID, odd))


@pytest.mark.parametrize("name", ["txnAmt", "orderId", "respCode", "merId", "queryId", "signPubKeyCert", "signMethod"])
def test_altered_or_missing_fields(sign, read, name):
    signed = sign(PAID)
    for changed in (signed | {name: "1"}, {key: value for key, value in signed.items() if key != name}):
        with pytest.raises(NoticeNotGenuine):
            read(changed)
    with pytest.raises(NoticeNotGenuine):
        read({key: value for key, value in signed.items() if key != "signature"})


def test_another_merchant_s_notice_is_not_ours(sign, read, account):
    with pytest.raises(NoticeNotGenuine):
        read(sign(PAID | {"merId": "777290058110049"}))
    with pytest.raises(NoticeNotGenuine):
        read(sign(PAID), account=replace(account, merchant_id="777290058110049"))


def test_a_certificate_that_has_run_out(sign, read):
    with pytest.raises(NoticeNotGenuine):
        read(sign(PAID), now=clock.now() + timedelta(days=3650))


@pytest.mark.parametrize(
    "odd",
    [
        {"txnType": "79"},
        {"txnType": "31"},
        {"txnAmt": "12.34"},
        {"txnAmt": "-1"},
        {"txnAmt": ""},
        {"orderId": ""},
        {"traceTime": "1332000000"},
        {"txnTime": "2026"},
        {"txnTime": "99991231235959"},
    ],
)
def test_genuine_and_not_understood(sign, read, odd):
    with pytest.raises(NoticeNotUnderstood):
        read(sign(PAID | odd))


def test_what_unionpay_wants_to_hear(read):
    channel = UnionPay(Outbound(), "", "")
    taken, refused = channel.answer_notice(problem="", status=200), channel.answer_notice(problem="no", status=401)
    assert (taken.status, taken.body, refused.status) == (200, b"ok", 401)
