"""What ``payments-fuzz`` breaks of medical insurance: sealed notices of the mobile centre, and what stands in them."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from _fuzz import Message, Target
from _fuzzkeys import account

from yimatong.crypto.gm import sm2
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.insurance import mobile, notices
from yimatong.payments.channels.insurance.signing import Unverified, read_json
from yimatong.payments.channels.insurance.splits import Garbled
from yimatong.sandbox.medical.rows import Institution
from yimatong.sandbox.medical.sealing import PlatformKey

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
APP, APP_SECRET = "43AF047BBA47FC8A1AE8EFB232BDBBCB", "4117E877F5FA0A0188891283E4B617D5"
SETTLED: dict[str, Any] = {
    "payOrdId": "ORD610100202611230001",
    "callType": "PAY_SUCCESS",
    "medOrgOrd": "P20261123000000000001L01",
    "orgBizSer": "P20261123000000000001A01",
    "ordStas": "6",
    "traceTime": "20261123093000",
    "feeSumamt": 1234.56,
    "ownPayAmt": 334.56,
    "psnAcctPay": 300,
    "fundPay": 600,
    "setlType": "ALL",
    "revsToken": "t",
}


def targets() -> list[Target]:
    """Return every way in."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "stranger").mkdir()
        centre, stranger = PlatformKey(place), PlatformKey(place / "stranger")
    private, public = sm2.generate_keypair()
    institution = Institution(fixmedins_code="H61010400123", app_id=APP, app_secret=APP_SECRET, public_key=public.hex())
    secrets = {
        "private_key": private.hex(),
        "platform_public_key": centre.public_hex,
        "app_secret": APP_SECRET,
    }
    own = _account(APP, secrets)
    others = [_account(APP[::-1], secrets), _account(APP, secrets | {"platform_public_key": stranger.public_hex})]
    others.append(_account(APP, secrets | {"app_secret": APP_SECRET[::-1]}))
    contents = [SETTLED, SETTLED | {"ordStas": "1"}, {k: v for k, v in SETTLED.items() if k != "ordStas"}]
    samples = [_sealed(centre, institution, each) for each in contents]
    strays = [_sealed(stranger, institution, each) for each in contents]
    strays += [_sealed(centre, institution, each, broken=True) for each in contents]
    strays += [_sealed(centre, institution, each, moment=NOW - timedelta(seconds=301)) for each in contents]
    return [
        Target(
            name="notice",
            shape="json",
            samples=samples,
            act=lambda who, _headers, body: notices.read(who, body, now=NOW),
            accounts=[own, *others],
            strays=strays,
            weight=3,
        ),
        Target(
            name="content",
            shape="json",
            samples=[({}, json.dumps(each).encode()) for each in contents],
            act=_content,
            accounts=[own],
            signed=False,
            expected=(Garbled,),
            weight=2,
        ),
    ]


def _content(who: ChannelAccount, _headers: Any, body: bytes) -> object:
    try:
        told = read_json(body)
    except Unverified as error:
        raise Garbled(str(error)) from error
    return mobile.payment(who, told, "P20261123000000000001A01")


def _account(app: str, secrets: dict[str, str]) -> ChannelAccount:
    return account("insurance", merchant="H61010400123", app=app, secrets=secrets)


def _sealed(
    key: PlatformKey, institution: Institution, content: dict[str, Any], *, moment: datetime = NOW, broken: bool = False
) -> Message:
    told = key.answer(institution, content, now=moment, old=False, broken=broken)
    return {}, json.dumps(told, ensure_ascii=False).encode()
