"""What ``payments-fuzz`` breaks of banks: notices, and the documents in them. Both profiles, GBK and UTF-8."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from _fuzz import Message, Target
from _fuzzkeys import RsaSigner, account, form

from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.netbank import transformers as wire
from yimatong.payments.channels.netbank.channel import NetBank
from yimatong.payments.channels.netbank.documents import Garbled
from yimatong.payments.channels.netbank.profiles import PROFILES, Profile, profile_of

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
MERCHANT = "0200EC20001119"
DOCUMENT = (
    '<?xml version="1.0" encoding="{charset}" standalone="no"?><B2CRes>'
    "<interfaceName>{interface}</interfaceName><interfaceVersion>{version}</interfaceVersion>"
    "<orderInfo><orderDate>20261123093000</orderDate><curType>{currency}</curType><merID>{merchant}</merID>"
    "<subOrderInfoList><subOrderInfo><orderid>P20261123000000000001A01</orderid><amount>{amount}</amount>"
    "<installmentTimes>1</installmentTimes><tranSerialNo>HFG000000000000001</tranSerialNo></subOrderInfo>"
    "</subOrderInfoList></orderInfo><bank><TranBatchNo>1</TranBatchNo><notifyDate>20261123093100</notifyDate>"
    "<tranStat>{state}</tranStat><comment>交易成功！</comment></bank></B2CRes>"
)


def targets() -> list[Target]:
    """Return every way in, by profile."""
    made = []
    bank, stranger = RsaSigner(), RsaSigner()
    channel = NetBank(None)  # type: ignore[arg-type]
    for name, profile in PROFILES.items():
        own = _account(name, MERCHANT, bank)
        others = [_account(name, "0200EC20009999", bank), _account(name, MERCHANT, stranger)]
        others += [_account(other, MERCHANT, bank) for other in PROFILES if other != name]
        documents = [_document(profile, state=state) for state in ("1", "2", "3")]
        strays = [_signed(stranger, each) for each in documents]
        strays += [_signed(bank, _document(profile, merchant="0200EC20009999"))]
        made += [
            Target(
                name=f"notice-{name}",
                shape="form",
                samples=[_signed(bank, each) for each in documents],
                act=lambda who, headers, body: channel.read_notice(who, headers, body, now=NOW),
                accounts=[own, *others],
                strays=strays,
                weight=3,
            ),
            Target(
                name=f"document-{name}",
                shape="xml",
                samples=[({}, each) for each in documents],
                act=lambda who, _headers, body: wire.decode_notice(profile_of(who), who, body),
                accounts=[own],
                signed=False,
                expected=(Garbled,),
                weight=2,
            ),
        ]
    return made


def _account(bank: str, merchant: str, signer: RsaSigner) -> ChannelAccount:
    secrets = {"bank_public_key_pem": signer.public_pem}
    return account("netbank", merchant=merchant, app="0200", secrets=secrets, profile={"bank": bank})


def _document(profile: Profile, *, state: str = "1", merchant: str = MERCHANT) -> bytes:
    text = DOCUMENT.format(
        charset=profile.charset,
        interface=profile.interface_name,
        version=profile.interface_version,
        currency=profile.currency,
        merchant=merchant,
        amount="12.34" if profile.in_yuan else "1234",
        state=state,
    )
    return text.encode(profile.charset)


def _signed(signer: RsaSigner, document: bytes) -> Message:
    data = base64.b64encode(document).decode()
    return {}, form({"merVAR": "", "notifyData": data, "signMsg": signer.sign(document)})
