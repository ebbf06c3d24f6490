"""Fetching the platform's certificates (获取平台证书列表), to put a new one into the account before it is used.

The list is sealed with the account's APIv3 key, which nobody else holds. The answer's signature is checked with the
keys that the account has and with those that came out of the list itself, so that the first certificate of an account
can be fetched too: who does not know the APIv3 key cannot have written the certificate that verifies the answer.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from yimatong.crypto.pem import UNREADABLE
from yimatong.kit.http import Answer
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.wechat import keys, signing
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.channels.wechat.connection import Connection, checked, done, unknown
from yimatong.payments.errors import AccountUnusable


class PlatformCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as it is put into an account's secrets (``platform_cert_pem``, ``platform_cert_pem_2``...)."""

    serial_no: str
    pem: str
    begins_at: datetime
    ends_at: datetime


class _Sealed(msgspec.Struct, frozen=True):
    algorithm: str
    nonce: str
    ciphertext: str
    associated_data: str = ""


class _Entry(msgspec.Struct, frozen=True):
    serial_no: str
    encrypt_certificate: _Sealed


class _List(msgspec.Struct, frozen=True):
    data: list[_Entry]


async def fetch(connection: Connection, account: ChannelAccount, *, now: datetime) -> tuple[PlatformCertificate, ...]:
    """Return the platform's certificates that count now, the one that lasts longest first.

    Raises:
        PartyOutcomeUnknown: the list is not sealed for this account, or its signature proves nothing.
        AccountUnusable, ChannelBusy, ChannelRefused, PartyUnreachable: see their classes.
    """
    known = _known(account, now=now)
    answer = await connection.send(account, "GET", "/v3/certificates", b"", key_id=next(iter(known), ""), now=now)
    found = _opened(answer, account)
    usable = [each for each in found if each.begins_at <= now <= each.ends_at]
    fresh = {each.serial_no: keys.read_certificate(each.pem)[1] for each in usable}
    checked(answer, fresh | known, now=now)
    done(answer)
    return tuple(sorted(usable, key=lambda each: each.ends_at, reverse=True))


def _known(account: ChannelAccount, *, now: datetime) -> dict[str, str]:
    try:
        return keys.platform_keys(account, now=now)
    except AccountUnusable:  # an account that has no key yet is why the list is fetched
        return {}


def _opened(answer: Answer, account: ChannelAccount) -> list[PlatformCertificate]:
    """Return the certificates of an answer; none when it is a refusal."""
    try:
        listed = wire.read(answer.body, _List).data
    except wire.Garbled:
        return []
    return [opened(msgspec.json.encode(entry), keys.secret(account, "api_v3_key")) for entry in listed]


def opened(entry: bytes, api_v3_key: str) -> PlatformCertificate:
    """Return one certificate from its entry. Raises ``PartyOutcomeUnknown`` when it is not sealed for this account."""
    try:
        sealed = wire.read(entry, _Entry)
        resource = sealed.encrypt_certificate
        plain = signing.unseal(
            resource.ciphertext,
            nonce=resource.nonce,
            associated_data=resource.associated_data,
            api_v3_key=api_v3_key,
        )
        pem = plain.decode()
        serial, _, begins_at, ends_at = keys.read_certificate(pem)
    except (wire.Garbled, signing.Unverified, *UNREADABLE) as error:
        raise unknown(audit=f"certificates: {error}") from error
    if serial != sealed.serial_no.upper():
        raise unknown(audit="certificates: the serial number is another one")
    return PlatformCertificate(serial_no=serial, pem=pem, begins_at=begins_at, ends_at=ends_at)
