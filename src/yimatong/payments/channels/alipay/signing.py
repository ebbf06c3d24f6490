"""RSA2 signatures of the open platform. Pure: time is an argument; verification raises.

Sources: opendocs.alipay.com, 签名专区 (自行实现签名, 异步返回结果的验签). Requests: empty values and ``sign`` fall
out, the rest is sorted by name and joined as ``k=v&k=v``, RSA-SHA256 (PKCS #1 v1.5) over it, base64. Notices and return
pages: ``sign`` **and** ``sign_type`` fall out, nothing else. Keys are taken as PEM or, as Alipay's own key tool writes
them, as bare base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

SIGN_TYPE = "RSA2"


class Unverified(Exception):
    """What came is not proven to come from Alipay; the text says why, for the audit only."""


def request_text(parameters: Mapping[str, str]) -> str:
    """Return the text that signs a request: sorted, without ``sign`` and without empty values."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if value and name != "sign")


def notice_text(parameters: Mapping[str, str]) -> str:
    """Return the text that signs a notice or a return page: sorted, without ``sign`` and ``sign_type``."""
    kept = sorted(item for item in parameters.items() if item[0] not in ("sign", "sign_type"))
    return "&".join(f"{name}={value}" for name, value in kept)


def sign(private_key_pem: str, text: str) -> str:
    """Return the base64 RSA-SHA256 signature over ``text`` in UTF-8. Raises ``UNREADABLE`` for a broken key."""
    return base64.b64encode(_private_key(private_key_pem).sign(text.encode(), padding.PKCS1v15(), SHA256())).decode()


def verify(content: bytes, signature: str, *, keys: Sequence[str]) -> None:
    """Check ``signature`` over ``content`` against any of ``keys``: two while Alipay's key is exchanged.

    Raises:
        Unverified: no key fits.
    """
    try:
        octets = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as error:
        message = "the signature is not base64"
        raise Unverified(message) from error
    for key in keys:
        try:
            _public_key(key).verify(octets, content, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            continue
        return
    message = "the signature does not fit"
    raise Unverified(message)


def check_public_keys(keys: Sequence[str]) -> None:
    """Raise ``UNREADABLE`` where one of ``keys`` is no RSA key: before a call, not after it."""
    for key in keys:
        _public_key(key)


def verify_parameters(parameters: Mapping[str, str], *, keys: Sequence[str], charset: str = "utf-8") -> None:
    """Check the signature of a notice or a return page; ``charset`` is the one it was written in.

    Raises:
        Unverified: no signature, another type than RSA2, or one that does not fit.
    """
    if parameters.get("sign_type") != SIGN_TYPE:
        message = f"sign_type {parameters.get('sign_type', '')[:16]!r} is not {SIGN_TYPE}"
        raise Unverified(message)
    try:
        content = notice_text(parameters).encode(charset)
    except UnicodeEncodeError as error:
        message = "a character outside the charset"
        raise Unverified(message) from error
    verify(content, parameters.get("sign", ""), keys=keys)


@lru_cache(maxsize=512)
def _private_key(text: str) -> rsa.RSAPrivateKey:
    """Parse and check a key once: the check costs many times a signature."""
    if "-----BEGIN" in text:
        key = load_pem_private_key(text.encode(), password=None)
    else:
        key = load_der_private_key(base64.b64decode(text, validate=True), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        message = "the app's private key is not an RSA key"
        raise TypeError(message)
    return key


@lru_cache(maxsize=512)
def _public_key(text: str) -> rsa.RSAPublicKey:
    if "-----BEGIN" in text:
        key = load_pem_public_key(text.encode())
    else:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    if not isinstance(key, rsa.RSAPublicKey):
        message = "Alipay's public key is not an RSA key"
        raise TypeError(message)
    return key
