"""The secrets of merchant accounts by their names: what they are, and how one takes another's place. Pure.

Where the adapter of a channel takes a key of before beside the present one, the one that is replaced is kept under that
name, so that answers and notices on their way still verify; ``ended`` takes it out when the change-over is over.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.pem import UNREADABLE
from yimatong.payments.administration.schemas import KeyInUse
from yimatong.payments.errors import AccountChangeInvalid

BEFORE: Final[Mapping[str, Mapping[str, str]]] = {
    "wechat": {"platform_key_id": "previous_key_id", "platform_public_key_pem": "previous_public_key_pem"},
    "alipay": {"alipay_public_key_pem": "previous_alipay_public_key_pem"},
    "netbank": {"bank_public_key_pem": "previous_bank_public_key_pem"},
    "insurance": {"platform_public_key": "previous_platform_public_key"},
    "ncms": {"platform_public_key": "previous_platform_public_key"},
    "credit": {"secret_hex": "previous_secret_hex"},
    "commercial": {"secret_hex": "previous_secret_hex"},
    "quickpay": {"secret_hex": "previous_secret_hex"},
}
"""By channel: the name that a secret is kept under when another takes its place; those of the adapters."""

_PRINT: Final = 12


def changed(channel: str, held: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return an account's secrets after ``given`` came in: each that is replaced is kept as the one of before.

    The parts of one key are changed over together: with the platform's key its id goes along.
    """
    after = dict(held)
    pairs = BEFORE.get(channel, {})
    moving = any(name in held and name in given and held[name] != given[name] for name in pairs)
    for name, before in pairs.items():
        if moving and name in held and before not in given:
            after[before] = held[name]
    return after | dict(given)


def ended(channel: str, held: Mapping[str, str]) -> dict[str, str]:
    """Return an account's secrets without those of before."""
    gone = set(BEFORE.get(channel, {}).values())
    return {name: value for name, value in held.items() if name not in gone}


def check(secrets: Mapping[str, str]) -> None:
    """Refuse a key or certificate that cannot be read; an RSA or EC key may stand in PEM or as bare base64.

    Raises:
        AccountChangeInvalid: names the entry, never its value.
    """
    for name, value in secrets.items():
        if "_pem" in name:
            try:
                _read(name, value)
            except UNREADABLE as error:
                raise AccountChangeInvalid(
                    detail=f"{name}: 不是可用的密钥或证书 / no usable key or certificate"
                ) from error


def in_use(channel: str, secrets: Mapping[str, str]) -> list[KeyInUse]:
    """Return what an account holds, by name: public keys and certificates with a fingerprint, secrets without."""
    before = set(BEFORE.get(channel, {}).values())
    return [_described(name, secrets[name], previous=name in before) for name in sorted(secrets)]


def _described(name: str, value: str, *, previous: bool) -> KeyInUse:
    if name.endswith(("_id", "serial_no")):
        return KeyInUse(name=name, kind="name", fingerprint=value[:64], previous=previous)
    try:
        found = _read(name, value) if "_pem" in name else None
    except UNREADABLE:
        return KeyInUse(name=name, kind="unreadable", previous=previous)
    if isinstance(found, x509.Certificate):
        der = found.public_bytes(Encoding.DER)
        return KeyInUse(
            name=name,
            kind="certificate",
            fingerprint=_print(der),
            previous=previous,
            not_after=found.not_valid_after_utc,
        )
    if found is not None and hasattr(found, "public_bytes"):
        der = found.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return KeyInUse(name=name, kind="public", fingerprint=_print(der), previous=previous)
    return KeyInUse(name=name, kind="secret", previous=previous)


def _print(der: bytes) -> str:
    return sm3(der).hex()[:_PRINT]


def _read(name: str, value: str) -> Any:
    """Return the key or certificate of an entry, read by what its name says that it is."""
    text = value.strip()
    if "cert" in name:
        return x509.load_pem_x509_certificate(text.encode())
    if "public" in name:
        if text.startswith("-----"):
            return load_pem_public_key(text.encode())
        return load_der_public_key(base64.b64decode(text, validate=True))
    if "private" in name:
        if text.startswith("-----"):
            return load_pem_private_key(text.encode(), password=None)
        return load_der_private_key(base64.b64decode(text, validate=True), password=None)
    return None
