from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from alipay_world import APP_ID, PID, account_of
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from yimatong.kit import clock
from yimatong.payments.channels.abilities import AgreementStanding
from yimatong.payments.channels.alipay.channel import Alipay
from yimatong.payments.channels.alipay.notices import parse_agreement_notice
from yimatong.payments.channels.base import PaymentStatus
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood
from yimatong.sandbox.alipay.enrolment import EnrolledApp
from yimatong.sandbox.alipay.keys import PlatformKey

NOW = clock.now()
PAID = {
    "notify_time": "2026-11-30 09:31:00",
    "notify_type": "trade_status_sync",
    "notify_id": "ac05099524730693a8b330c5ecf72da978a",
    "app_id": APP_ID,
    "auth_app_id": APP_ID,
    "charset": "utf-8",
    "version": "1.0",
    "trade_no": "2026113022001000000000000001",
    "out_trade_no": "NOTICE0001",
    "buyer_id": "2088102146225135",
    "seller_id": PID,
    "trade_status": "TRADE_SUCCESS",
    "subject": "门诊缴费 1+1",
    "total_amount": "12.34",
    "receipt_amount": "12.34",
    "gmt_create": "2026-11-30 09:30:00",
    "gmt_payment": "2026-11-30 09:30:59",
    "fund_bill_list": '[{"amount":"12.34","fundChannel":"ALIPAYACCOUNT"}]',
}
PART_BACK = PAID | {"refund_fee": "2.34", "gmt_refund": "2026-11-30 10:00:00.371", "out_biz_no": "R-1"}
ALL_BACK = PART_BACK | {"trade_status": "TRADE_CLOSED", "refund_fee": "12.34", "gmt_close": "2026-11-30 10:00:00"}
NEVER_PAID = {name: value for name, value in PAID.items() if name not in ("gmt_payment", "fund_bill_list")} | {
    "trade_status": "TRADE_CLOSED",
    "gmt_close": "2026-11-30 10:00:00",
    "receipt_amount": "0.00",
}


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> PlatformKey:
    return PlatformKey(tmp_path_factory.mktemp("alipay"))


@pytest.fixture(scope="module")
def account(key):
    return account_of(
        EnrolledApp(app_id=APP_ID, pid=PID, private_key_pem="unused", alipay_public_key_pem=key.public_pem)
    )


@pytest.fixture
def read(account, key):
    channel = Alipay(None, "")

    def call(facts=None, *, body=None, by=account):
        return channel.read_notice(by, {}, made(key, facts) if body is None else body, now=NOW)

    return call


def made(key, facts, charset="utf-8"):
    text = "&".join(f"{name}={value}" for name, value in sorted(facts.items()))
    return urlencode(facts | {"sign_type": "RSA2", "sign": key.sign(text.encode(charset))}, encoding=charset).encode()


def test_a_genuine_payment(read):
    told = read(PAID)
    assert (told.notice_id, told.refund) == (PAID["notify_id"], None)
    payment = told.payment
    assert (payment.attempt_no, payment.status, payment.amount_fen) == ("NOTICE0001", PaymentStatus.SUCCEEDED, 1234)
    assert (payment.merchant_id, payment.app_id, payment.currency) == (PID, APP_ID, "CNY")
    assert payment.paid_at.isoformat() == "2026-11-30T01:30:59+00:00"


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (PAID | {"trade_status": "TRADE_FINISHED"}, PaymentStatus.SUCCEEDED),
        (PART_BACK, PaymentStatus.REFUNDED),
        (PART_BACK | {"trade_status": "TRADE_FINISHED"}, PaymentStatus.REFUNDED),
        (ALL_BACK, PaymentStatus.REFUNDED),
        (NEVER_PAID, PaymentStatus.CLOSED),
        (NEVER_PAID | {"trade_status": "WAIT_BUYER_PAY"}, PaymentStatus.PENDING),
        (PAID | {"trade_status": "TRADE_PENDING_BY_MOON"}, PaymentStatus.PENDING),
    ],
)
def test_the_same_payment_told_again_after_a_refund_or_closed_for_two_reasons(read, facts, status):
    payment = read(facts).payment
    assert (payment.status, payment.amount_fen, payment.attempt_no) == (status, 1234, "NOTICE0001")


def test_a_repeated_notice_is_the_same_but_for_its_time(read):
    assert read(PAID) == read(PAID | {"notify_time": "2026-11-30 19:31:00"})


@pytest.mark.parametrize("name", [name for name in PAID if name != "charset"])
def test_every_field_is_signed(read, key, name):
    body = made(key, PAID)
    fields = dict(parse_qsl(body.decode()))
    with pytest.raises(NoticeNotGenuine):
        read(body=urlencode(fields | {name: fields[name] + "1"}).encode())
    del fields[name]
    with pytest.raises(NoticeNotGenuine):
        read(body=urlencode(fields).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body + b"&refund_fee=12.34",
        lambda body: body + b"&trade_status=TRADE_SUCCESS",
        lambda body: body + b"&out_biz_no=",
        lambda body: body.replace(b"sign_type=RSA2", b"sign_type=RSA"),
        lambda body: body.replace(b"&sign=", b"&sigh="),
        lambda body: body.replace(b"charset=utf-8", b"charset=utf-7"),
        lambda body: body.replace(b"charset=utf-8", b"charset=gbk"),
        lambda body: body[:-1],
        lambda body: body + b"&" + b"x" * 70_000 + b"=1",
        lambda _body: b"",
        lambda _body: b"\xff\xfe",
        lambda _body: b"%zz=%ff&charset=gbk",
        lambda _body: b"&".join(b"n%d=1" % number for number in range(200)),
    ],
)
def test_what_is_not_a_genuine_form(read, key, change):
    with pytest.raises(NoticeNotGenuine):
        read(body=change(made(key, PAID)))


def test_another_app_s_or_seller_s_notice_is_not_ours(read, account):
    for changed in ({"app_id": "2021000000000009"}, {"seller_id": "2088000000000009"}):
        with pytest.raises(NoticeNotGenuine):
            read(PAID | changed)
    facts = {name: getattr(account, name) for name in account.__struct_fields__}
    shop = account.__class__(**(facts | {"profile": {"seller_id": "2088000000000009"}}))
    told = read(PAID | {"seller_id": "2088000000000009"}, by=shop)
    assert told.payment.merchant_id == PID


def test_the_previous_key_counts_while_it_is_exchanged(read, account, key):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = other.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    new = EnrolledApp(app_id=APP_ID, pid=PID, private_key_pem="unused", alipay_public_key_pem=pem)
    with pytest.raises(NoticeNotGenuine):
        read(PAID, by=account_of(new))
    assert read(PAID, by=account_of(new, previous_alipay_public_key_pem=key.public_pem)).payment is not None
    bare = "".join(key.public_pem.strip().splitlines()[1:-1])  # as Alipay's key tool writes it
    assert read(PAID, by=account_of(new, previous_alipay_public_key_pem=bare)).payment is not None


def test_a_form_in_gbk_is_verified_in_gbk(read, key):
    facts = PAID | {"charset": "GBK"}
    assert read(body=made(key, facts, "gbk")).payment.amount_fen == 1234
    with pytest.raises(NoticeNotGenuine):
        read(body=made(key, facts, "gbk").replace(b"GBK", b"utf-8"))


@pytest.mark.parametrize(
    "change",
    [
        {"notify_type": "coupon_use"},
        {"total_amount": "12.345"},
        {"total_amount": "-12.34"},
        {"total_amount": "1e3"},
        {"total_amount": "0.00"},
        {"trade_no": ""},
        {"out_trade_no": ""},
        {"notify_id": ""},
        {"trade_status": ""},
        {"gmt_payment": "yesterday"},
        {"gmt_payment": "2026-13-30 09:30:59"},
        {"refund_fee": "some"},
    ],
)
def test_genuine_and_not_understood(read, change):
    with pytest.raises(NoticeNotUnderstood):
        read(PAID | change)


def test_notices_about_agreements(account, key):
    signed = {
        "notify_type": "dut_user_sign",
        "notify_id": "n-1",
        "app_id": APP_ID,
        "charset": "utf-8",
        "agreement_no": "20261130000000000001",
        "external_agreement_no": "AGREE0001",
        "status": "NORMAL",
    }
    notice_id, agreement = parse_agreement_notice(account, made(key, signed))
    assert (notice_id, agreement.standing, agreement.request_no) == ("n-1", AgreementStanding.AGREED, "AGREE0001")
    ended = signed | {"notify_type": "dut_user_unsign", "status": "UNSIGN"}
    assert parse_agreement_notice(account, made(key, ended))[1].standing is AgreementStanding.ENDED
    with pytest.raises(NoticeNotUnderstood):
        parse_agreement_notice(account, made(key, signed | {"status": "TEMP"}))
    with pytest.raises(NoticeNotGenuine):
        parse_agreement_notice(account, made(key, signed).replace(b"AGREE0001", b"AGREE0002"))


def test_alipay_reads_the_text_and_not_the_status():
    channel = Alipay(None, "")
    taken, refused = (channel.answer_notice(problem=problem, status=409) for problem in ("", "不一致"))
    assert (taken.status, taken.body, refused.status, refused.body) == (200, b"success", 200, b"failure")
