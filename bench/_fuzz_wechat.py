"""What ``payments-fuzz`` breaks of WeChat Pay: notices, opened resources, signed answers, bills, certificates."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from _fuzz import Headers, Message, Target, lowered

from yimatong.kit.http import Answer
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.wechat import bills, certificates, connection, keys, medical, notices, refunds
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.channels.wechat.channel import payment_in
from yimatong.payments.channels.wechat.mixed import mixed_in
from yimatong.sandbox.wechat import certs
from yimatong.sandbox.wechat.keys import PlatformKey, Signer, seal

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
MERCHANT, APP, API_KEY = "1900000109", "wx8888888888888888", "0123456789abcdef0123456789abcdef"
PAID = {
    "mchid": MERCHANT,
    "appid": APP,
    "out_trade_no": "P20261123000000000001A01",
    "transaction_id": "4200002026112300000000000001",
    "trade_state": "SUCCESS",
    "trade_type": "JSAPI",
    "success_time": "2026-11-23T09:30:00+08:00",
    "amount": {"total": 1234, "payer_total": 1234, "currency": "CNY", "payer_currency": "CNY"},
    "payer": {"openid": "oPayer"},
    "attach": "",
    "promotion_detail": [],
}
REFUNDED = {
    "mchid": MERCHANT,
    "out_trade_no": PAID["out_trade_no"],
    "transaction_id": PAID["transaction_id"],
    "out_refund_no": "P20261123000000000001R01",
    "refund_id": "5030002026112300000000000001",
    "refund_status": "SUCCESS",
    "success_time": "2026-11-23T09:31:00+08:00",
    "amount": {"total": 1234, "refund": 34, "payer_total": 1234, "payer_refund": 34},
}
MIXED = {
    "mix_trade_no": "10202611230000000000000001",
    "out_trade_no": PAID["out_trade_no"],
    "mix_pay_status": "MIX_PAY_SUCCESS",
    "self_pay_status": "SELF_PAY_SUCCESS",
    "med_ins_pay_status": "MED_INS_PAY_SUCCESS",
    "mix_pay_type": "CASH_AND_INSURANCE",
    "appid": APP,
    "attach": MERCHANT,
    "openid": "oPayer",
    "paid_time": "2026-11-23T09:30:00+08:00",
    "prepay_id": "wx201",
    "total_fee": 1234,
    "med_ins_gov_fee": 600,
    "med_ins_self_fee": 300,
    "med_ins_other_fee": 0,
    "med_ins_cash_fee": 334,
    "wechat_pay_cash_fee": 334,
}
EVENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("TRANSACTION.SUCCESS", "transaction", PAID),
    ("TRANSACTION.SUCCESS", "transaction", PAID | {"out_trade_no": "P20261123000000000002A01", "amount": {"total": 9}}),
    ("REFUND.SUCCESS", "refund", REFUNDED),
    ("REFUND.ABNORMAL", "refund", REFUNDED | {"refund_status": "ABNORMAL"}),
    ("MEDICAL_INSURANCE.SUCCESS", "medical_insurance", MIXED),
)


def targets() -> list[Target]:
    """Return every way in, with genuine samples made by the simulator's own keys."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        public, stranger = PlatformKey(place), PlatformKey(_inside(place, "stranger"))
        row = certs.make(place, moment=NOW - timedelta(days=1))
        certificate = Signer(certs.private_key(place, row.serial_no), row.serial_no)
    secrets = {
        "platform_key_id": public.key_id,
        "platform_public_key_pem": public.public_pem,
        "platform_cert_pem": row.pem,
        "api_v3_key": API_KEY,
    }
    account = _account(MERCHANT, secrets)
    others = [
        _account("1900000999", secrets),
        _account(MERCHANT, secrets | {"api_v3_key": API_KEY[::-1]}),
        _account(MERCHANT, secrets | {"platform_public_key_pem": stranger.public_pem, "platform_cert_pem": ""}),
    ]
    bodies = [_notice(*event) for event in EVENTS]
    samples = [_signed(signer, body) for signer in (public, certificate) for body in bodies]
    strays: list[Message] = [_signed(stranger, body) for body in bodies]
    strays += [(headers | {"wechatpay-serial": public.key_id}, body) for headers, body in strays]
    strays += [_signed(public, body, moment=NOW - timedelta(seconds=301)) for body in bodies]
    strays += [_probe(_signed(public, body)) for body in bodies]
    strays += [
        _signed(public, _notice(name, kind, facts | {"mchid": "1900000999", "attach": "1900000999"}))
        for name, kind, facts in EVENTS
    ]
    plain = [msgspec.json.encode(facts) for _, _, facts in EVENTS]
    return [
        Target(
            name="notice",
            shape="json",
            samples=samples,
            act=lambda who, headers, body: notices.read_notice(who, headers, body, now=NOW),
            accounts=[account, *others],
            strays=strays,
            weight=6,
        ),
        Target(
            name="answer",
            shape="json",
            samples=[_signed(signer, body) for signer in (public, certificate) for body in plain],
            act=_answer,
            accounts=[account, others[2]],
            strays=[_signed(stranger, body) for body in plain],
            weight=2,
        ),
        *_decoders(account, row.pem),
    ]


def _decoders(account: ChannelAccount, pem: str) -> list[Target]:
    """Return what reads bodies whose signature already holds: anything may stand in them."""
    resources = [(({"event": name, "kind": kind}), msgspec.json.encode(facts)) for name, kind, facts in EVENTS]
    bill = b"`2026-11-23,`1\r\n" * 40
    listed = msgspec.json.encode(
        {
            "serial_no": keys.read_certificate(pem)[0],
            "encrypt_certificate": seal(pem, api_v3_key=API_KEY, associated_data="certificate"),
        }
    )
    no, refund_no = str(PAID["out_trade_no"]), str(REFUNDED["out_refund_no"])
    readers = {
        "payment": ([PAID], lambda who, _, body: payment_in(Answer(200, {}, body), who, no)),
        "refund": (
            [REFUNDED | {"status": "PROCESSING"}],
            lambda who, _, body: refunds.refund_in(Answer(200, {}, body), who, refund_no),
        ),
        "mixed": ([MIXED], lambda who, _, body: medical.payment_of(mixed_in(Answer(200, {}, body), no), who)),
        "refusal": (
            [{"code": "FREQUENCY_LIMITED", "message": "请求过于频繁"}],
            lambda _who, _headers, body: connection.code_of(Answer(400, {}, body)),
        ),
        "certificate": ([listed], lambda who, _, body: certificates.opened(body, keys.secret(who, "api_v3_key"))),
    }
    made = [
        Target(
            name=name,
            shape="json",
            samples=[({}, body if isinstance(body, bytes) else msgspec.json.encode(body)) for body in bodies],
            act=act,
            accounts=[account],
            signed=name == "certificate",
            expected=(wire.Garbled,) if name == "mixed" else (),
        )
        for name, (bodies, act) in readers.items()
    ]
    resource = Target(
        name="resource",
        shape="json",
        samples=resources,
        act=lambda who, headers, body: notices.opened(who, _sealed(headers, body)),
        accounts=[account],
        signed=False,
        weight=2,
    )
    place = wire.BillPlace("SHA1", hashlib.sha1(bill, usedforsecurity=False).hexdigest(), "http://127.0.0.1/x")
    packed = Target(
        name="bill",
        shape="bytes",
        samples=[({}, gzip.compress(bill, mtime=0)), ({}, bill)],
        act=lambda _who, _headers, body: bills.plain(body, place),
        accounts=[account],
    )
    return [*made, resource, packed]


def _answer(who: ChannelAccount, headers: Headers, body: bytes) -> bytes:
    connection.checked(Answer(200, headers, body), keys.platform_keys(who, now=NOW), now=NOW)
    return body


def _account(merchant: str, secrets: dict[str, str]) -> ChannelAccount:
    return ChannelAccount(
        account_id="a",
        institution_id="h",
        channel="wechat",
        merchant_id=merchant,
        app_id=APP,
        secrets={name: Secret(value) for name, value in secrets.items() if value},
        profile={"mini_app_id": "wxmini"},
    )


def _notice(event: str, kind: str, facts: dict[str, Any]) -> bytes:
    sealed = {"original_type": kind} | seal(
        msgspec.json.encode(facts).decode(), api_v3_key=API_KEY, associated_data=kind
    )
    number = hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]
    return msgspec.json.encode(
        {
            "id": number,
            "create_time": "2026-11-23T09:30:00+08:00",
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": "支付成功",
            "resource": sealed,
        }
    )


def _sealed(headers: Headers, body: bytes) -> bytes:
    """Seal a broken resource as WeChat Pay would: it gets as far as the decoder."""
    kind, event = (headers.get(name, "").encode("utf-8", "replace").decode() for name in ("kind", "event"))
    envelope = {"id": "1", "event_type": event, "resource_type": "encrypt-resource"}
    text = body.decode("utf-8", "replace")
    return msgspec.json.encode(
        envelope | {"resource": {"original_type": kind} | seal(text, api_v3_key=API_KEY, associated_data=kind)}
    )


def _signed(signer: Signer, body: bytes, *, moment: datetime = NOW) -> Message:
    return lowered(signer.headers(body, moment=moment)), body


def _probe(message: Message) -> Message:
    headers, body = message
    return headers | {"wechatpay-signature": "WECHATPAY/SIGNTEST/" + headers["wechatpay-signature"]}, body


def _inside(place: Path, name: str) -> Path:
    inner = place / name
    inner.mkdir()
    return inner
