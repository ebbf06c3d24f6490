"""What ``payments-fuzz`` breaks of Alipay: notices, return pages, signed replies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from _fuzz import Message, Target
from _fuzzkeys import RsaSigner, account, form

from yimatong.payments.channels.alipay import replies
from yimatong.payments.channels.alipay.facts import alipay_keys
from yimatong.payments.channels.alipay.notices import parse_notice, verify_return
from yimatong.payments.channels.alipay.signing import Unverified
from yimatong.payments.channels.base import ChannelAccount

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
MERCHANT, APP = "2088000000000001", "2021000000000001"
METHOD = "alipay.trade.query"
PAID = {
    "notify_time": "2026-11-23 09:30:01",
    "notify_type": "trade_status_sync",
    "notify_id": "2026112300222093000000001",
    "charset": "utf-8",
    "version": "1.0",
    "sign_type": "RSA2",
    "auth_app_id": APP,
    "app_id": APP,
    "seller_id": MERCHANT,
    "trade_no": "2026112322001400000000000001",
    "out_trade_no": "P20261123000000000001A01",
    "buyer_open_id": "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "12.34",
    "receipt_amount": "12.34",
    "subject": "门诊缴费 & 挂号=1",
    "gmt_create": "2026-11-23 09:29:00",
    "gmt_payment": "2026-11-23 09:30:00",
}
NOTICES = (
    PAID,
    PAID | {"notify_id": "2", "trade_status": "TRADE_FINISHED"},
    PAID | {"notify_id": "3", "refund_fee": "1.00", "gmt_refund": "2026-11-23 10:00:00.123"},
    PAID | {"notify_id": "4", "trade_status": "TRADE_CLOSED", "gmt_payment": ""},
    PAID | {"notify_id": "5", "charset": "gbk"},
)
BACK = {name: PAID[name] for name in ("app_id", "seller_id", "out_trade_no", "trade_no", "total_amount", "charset")} | {
    "method": "alipay.trade.wap.pay.return",
    "sign_type": "RSA2",
    "timestamp": "2026-11-23 09:30:00",
    "version": "1.0",
}
REPLY = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": PAID["out_trade_no"],
    "trade_no": PAID["trade_no"],
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "12.34",
    "buyer_logon_id": "138****8000",
    "send_pay_date": "2026-11-23 09:30:00",
}


def targets() -> list[Target]:
    """Return every way in."""
    alipay, stranger = RsaSigner(), RsaSigner()
    own = account("alipay", merchant=MERCHANT, app=APP, secrets={"alipay_public_key_pem": alipay.public_pem})
    keys = {"alipay_public_key_pem": alipay.public_pem}
    others = [
        account("alipay", merchant="2088000000000009", app=APP, secrets=keys),
        account("alipay", merchant=MERCHANT, app="2021000000000009", secrets=keys),
        account("alipay", merchant=MERCHANT, app=APP, secrets={"alipay_public_key_pem": stranger.public_pem}),
    ]
    strays = [_signed(stranger, each) for each in NOTICES]
    strays += [_signed(alipay, each | {"app_id": "2021000000000009"}) for each in NOTICES]
    strays += [_signed(alipay, each | {"seller_id": "2088000000000009"}) for each in NOTICES]
    strays += [_signed(alipay, each | {"sign_type": "RSA"}) for each in NOTICES]
    return [
        Target(
            name="notice",
            shape="form",
            samples=[_signed(alipay, each) for each in NOTICES],
            act=lambda who, headers, body: parse_notice(who, headers, body, NOW),
            accounts=[own, *others],
            strays=strays,
            weight=6,
        ),
        Target(
            name="return",
            shape="form",
            samples=[_signed(alipay, BACK)],
            act=lambda who, _headers, body: verify_return(who, body.decode("latin-1")),
            accounts=[own, *others],
            strays=[_signed(stranger, BACK)],
        ),
        Target(
            name="reply",
            shape="json",
            samples=[_reply(alipay, REPLY), _reply(alipay, {"code": "40004", "msg": "x", "sub_code": "ACQ.NOT_EXIST"})],
            act=_answer,
            accounts=[own, others[2]],
            strays=[_reply(stranger, REPLY)],
            expected=(Unverified, replies.Garbled),
            weight=3,
        ),
    ]


def _answer(who: ChannelAccount, _headers: Any, body: bytes) -> object:
    told = replies.decode(body, METHOD, keys=alipay_keys(who))
    return [told.code, told.sub_code, told.node]


def _signed(signer: RsaSigner, fields: dict[str, str]) -> Message:
    charset = fields["charset"]
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name not in ("sign", "sign_type"))
    signed = fields | {"sign": signer.sign(text.encode(charset))}
    if charset == "utf-8":
        return {}, form(signed)
    return {}, form({name: value.encode(charset) for name, value in signed.items()})  # type: ignore[misc]


def _reply(signer: RsaSigner, node: dict[str, str]) -> Message:
    text = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    signature = signer.sign(text.encode())
    return {}, f'{{"alipay_trade_query_response":{text},"sign":"{signature}"}}'.encode()
