"""The keys of an account at WeChat Pay: its own for signing, the platform's for verifying and for sealing identities.

While a merchant moves from the platform's certificate to its public key, answers are signed by the key that the request
names in ``Wechatpay-Serial``, and notices by either of the two, in shares that grow from 0.1 % to 100 % over days
(developers.weixin.qq.com, official answer on the change; pay.weixin.qq.com, 微信支付公钥 and 平台证书). An account
therefore holds any number of keys, and the header of a message chooses. Public keys are known by their id and have no
end; a certificate is known by its serial number and counts only between its two dates.

Secrets that are read, all PEM or short texts: ``private_key_pem`` and ``serial_no`` (the merchant's, changed together);
``api_v3_key``; ``platform_key_id`` with ``platform_public_key_pem``; ``previous_key_id`` with
``previous_public_key_pem``; ``platform_cert_pem``, ``platform_cert_pem_2`` and on, as many as there are. Pure.
"""

from __future__ import annotations

import base64
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from yimatong.crypto.pem import UNREADABLE
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.wechat.signing import public_key, sign
from yimatong.payments.errors import AccountUnusable

CERTIFICATE = "platform_cert_pem"
_PAIRS = (("platform_key_id", "platform_public_key_pem"), ("previous_key_id", "previous_public_key_pem"))


def secret(account: ChannelAccount, name: str) -> str:
    """Return one of the account's secrets as a plain string. Raises ``AccountUnusable`` when it is not there."""
    value = str(account.secrets.get(name, ""))
    if not value:
        raise AccountUnusable(channel="wechat", name=name)
    return value


def profile(account: ChannelAccount, name: str) -> str:
    """Return what an account must say in its profile. Raises ``AccountUnusable`` when it does not."""
    value = account.profile.get(name, "")
    if not value:
        raise AccountUnusable(channel="wechat", name=name)
    return value


def signed(account: ChannelAccount, *lines: str) -> str:
    """Return the merchant's signature over ``lines``. Raises ``AccountUnusable`` for a key that cannot be read."""
    pem = secret(account, "private_key_pem")
    try:
        return sign(pem, *lines)
    except UNREADABLE as error:
        raise AccountUnusable(channel="wechat", name="private_key_pem", audit=type(error).__name__) from error


def platform_keys(account: ChannelAccount, *, now: datetime) -> dict[str, str]:
    """Return the platform's public keys (PEM) that count now, by id or serial number; the current one stands first.

    Raises:
        AccountUnusable: the account has none, or one of them cannot be read.
    """
    keys: dict[str, str] = {}
    for name, pem_name in _PAIRS:
        key_id, pem = str(account.secrets.get(name, "")), str(account.secrets.get(pem_name, ""))
        if key_id and pem:
            keys[key_id] = _checked(pem, pem_name)
    valid = []
    for name in account.secrets:
        if name == CERTIFICATE or name.startswith(f"{CERTIFICATE}_"):
            serial, pem, begins, ends = certificate(account, name)
            if begins <= now <= ends:
                valid.append((ends, serial, pem))
    keys |= {serial: pem for _, serial, pem in sorted(valid, reverse=True) if serial not in keys}
    if not keys:
        raise AccountUnusable(channel="wechat", name="platform_public_key_pem")
    return keys


def current_key_id(account: ChannelAccount, *, now: datetime) -> str:
    """Return the id that requests name: the public key's where there is one, else the certificate's that lasts longest.

    Raises ``AccountUnusable`` as ``platform_keys`` does.
    """
    return next(iter(platform_keys(account, now=now)))


def certificate(account: ChannelAccount, name: str) -> tuple[str, str, datetime, datetime]:
    """Return serial number (upper-case hexadecimal), public key (PEM), first and last moment of a platform certificate.

    Raises:
        AccountUnusable: it is no X.509 certificate with an RSA key.
    """
    try:
        return read_certificate(secret(account, name))
    except UNREADABLE as error:
        raise AccountUnusable(channel="wechat", name=name, audit=type(error).__name__) from error


@lru_cache(maxsize=512)
def read_certificate(pem: str) -> tuple[str, str, datetime, datetime]:
    """Return serial number, public key (PEM) and the two dates. Raises ``ValueError`` or ``TypeError`` for others."""
    found = x509.load_pem_x509_certificate(pem.encode())
    key = found.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        message = "the certificate's key is not an RSA key"
        raise TypeError(message)
    public = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    digits = f"{found.serial_number:X}"
    serial = digits.zfill(len(digits) + len(digits) % 2)  # whole octets, as OpenSSL and WeChat Pay print it
    return serial, public, found.not_valid_before_utc, found.not_valid_after_utc


def sealed_identity(plain: str, public_key_pem: str) -> str:
    """Return a sensitive field as requests carry it (敏感信息加解密): RSA-OAEP with SHA-1 and MGF1, base64.

    OAEP draws its own seed inside the library, so two calls differ; nothing else of it depends on chance.
    """
    oaep = padding.OAEP(mgf=padding.MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 -- the published scheme
    return base64.b64encode(public_key(public_key_pem).encrypt(plain.encode(), oaep)).decode()


def _checked(pem: str, name: str) -> str:
    try:
        public_key(pem)
    except UNREADABLE as error:
        raise AccountUnusable(channel="wechat", name=name, audit=type(error).__name__) from error
    return pem
