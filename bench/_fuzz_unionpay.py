"""What ``payments-fuzz`` breaks of UnionPay: notices, answers, records of its files; certificates and shared keys."""

from __future__ import annotations

import base64
import io
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from _fuzz import Message, Target
from _fuzzkeys import account, form

from yimatong.kit import clock
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.unionpay import files, signing
from yimatong.payments.channels.unionpay import transformers as wire
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.sandbox.unionpay.authority import Authority
from yimatong.sandbox.unionpay.rows import Merchant

MERCHANT = "777290058110048"
PAID = {
    "version": "5.1.0",
    "encoding": "UTF-8",
    "bizType": "000201",
    "txnType": "01",
    "txnSubType": "01",
    "accessType": "0",
    "merId": MERCHANT,
    "orderId": "P20261123000000000001A01",
    "txnTime": "20261123093000",
    "txnAmt": "1234",
    "currencyCode": "156",
    "respCode": "00",
    "respMsg": "成功[0000000]",
    "queryId": "202611230930001234567",
    "settleAmt": "1234",
    "settleDate": "1123",
    "traceNo": "123456",
    "traceTime": "1123093000",
    "accNo": "6216***********0018",
}
REFUNDED = PAID | {
    "txnType": "04",
    "txnSubType": "00",
    "orderId": "P20261123000000000001R01",
    "origQryId": PAID["queryId"],
    "txnAmt": "34",
}


def targets() -> list[Target]:
    """Return every way in; the certificates are made now, so the samples are of now."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "stranger").mkdir()
        authority, stranger = Authority(place), Authority(place / "stranger")
    now = clock.now() + timedelta(minutes=1)
    own, elsewhere, keyed = _pinned(authority), _pinned(stranger), _keyed()
    others = [_pinned(authority, "777290058110099"), elsewhere, keyed]
    facts = (PAID, PAID | {"respCode": "A6", "orderId": "P2A01"}, PAID | {"respCode": "05"}, REFUNDED)
    strays = _strays(authority, stranger, facts)
    channel = UnionPay(None, "", "")  # type: ignore[arg-type]
    merchant = Merchant(mer_id=MERCHANT, cert_id="1", public_key_pem="", sign_method="11", secure_key="shared-key")

    def notice(who: ChannelAccount, headers: dict[str, str], body: bytes) -> object:
        return channel.read_notice(who, headers, body, now=now)

    return [
        Target(
            name="notice",
            shape="form",
            samples=[({}, form(authority.sign(each, None))) for each in facts],
            act=notice,
            accounts=[own, *others],
            strays=strays,
            weight=6,
        ),
        Target(
            name="notice-keyed",
            shape="form",
            samples=[({}, form(authority.sign(each, merchant))) for each in facts],
            act=notice,
            accounts=[keyed, own],
            strays=[({}, form(authority.sign(each, merchant, odd="signature"))) for each in facts],
            weight=2,
        ),
        Target(
            name="answer",
            shape="bytes",
            samples=[_answer(authority.sign(each, None)) for each in facts],
            act=lambda who, _headers, body: _verified(who, body, now),
            accounts=[own, elsewhere],
            strays=[_answer(stranger.sign(each, None)) for each in facts],
            expected=(signing.Unverified,),
            weight=2,
        ),
        Target(
            name="file",
            shape="bytes",
            samples=[({}, _packed("INN23112388ZM_777290058110048"))],
            act=lambda _who, _headers, body: _unpacked(body),
            accounts=[own],
            signed=False,
            expected=(files.Broken,),
        ),
    ]


def _pinned(authority: Authority, merchant: str = MERCHANT) -> ChannelAccount:
    secrets = {"root_cert_pem": authority.pem["root"], "middle_cert_pem": authority.pem["middle"]}
    return account("unionpay", merchant=merchant, secrets=secrets)


def _keyed() -> ChannelAccount:
    profile = {"sign_method": "11"}
    return account("unionpay", merchant=MERCHANT, secrets={"secure_key": "shared-key"}, profile=profile)


def _strays(authority: Authority, stranger: Authority, facts: Sequence[dict[str, str]]) -> list[Message]:
    made: list[dict[str, str]] = []
    for each in facts:
        made += [authority.sign(each, None, odd=odd) for odd in ("signature", "chain", "cn")]
        made += [stranger.sign(each, None), authority.sign(each | {"merId": "777290058110099"}, None)]
    return [({}, form(fields)) for fields in made]


def _packed(name: str) -> bytes:
    """Return a file of records as an answer carries it: base64 of zlib of a ZIP."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(name, (b"0" * files.RECORD_BYTES + b"\r\n") * 3)
    return base64.b64encode(zlib.compress(archive.getvalue()))


def _unpacked(body: bytes) -> object:
    text = files.unpack(body.decode("latin-1"), files.DETAIL)
    return [dict(files.fields_of(record)) for record in files.records_of(text or b"")]


def _verified(who: ChannelAccount, body: bytes, now: Any) -> object:
    told = signing.read_answer(body)
    signing.verify(
        told,
        method=wire.sign_method(who),
        root_pem=wire.secret(who, "root_cert_pem"),
        middle_pem=wire.secret(who, "middle_cert_pem"),
        cn=signing.UNIONPAY_CN,
        secure_key="",
        now=now,
    )
    return {name: value for name, value in told.items() if value and name != "signature"}


def _answer(fields: dict[str, str]) -> Message:
    return {}, "&".join(f"{name}={value}" for name, value in fields.items()).encode()
