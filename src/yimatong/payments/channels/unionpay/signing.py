"""Signatures, certificates and encrypted fields of UnionPay 5.1.0. Pure: ``now`` is an argument; verification raises.

Sources: open.unionpay.com, 《全渠道平台接入接口规范》第 2 部分 (message signature), and the vendor's published SDKs.
The text to sign is every field but ``signature`` that is not empty, sorted by name, ``name=value`` joined by ``&``, not
URL-encoded. By ``signMethod``:

- ``01``: RSA-SHA256 (PKCS #1 v1.5) over the *lower-case hexadecimal SHA-256* of that text, in base64. Requests name the
  merchant's certificate (``certId``, the decimal serial); answers and notices carry theirs (``signPubKeyCert``).
- ``11``, ``12``: hexadecimal SHA-256 or SM3 of the text, ``&`` and the hexadecimal SHA-256 or SM3 of a shared key.
- ``21`` (SM2 with SM3) is *not* served: which digest is signed and by what certificates cannot be learned from public
  sources.

The chain below UnionPay's certificates is signed with SHA-1 (CFCA OCA1); it is accepted because both issuers are pinned
in the merchant's account, so that a colliding certificate would have to come from the pinned authority itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.pem import UNREADABLE

RSA, SHA256_KEY, SM3_KEY = "01", "11", "12"
SERVED = frozenset({RSA, SHA256_KEY, SM3_KEY})
UNIONPAY_CN = "中国银联股份有限公司"
"""Third part of the common name of every production certificate of UnionPay: ``041@...@中国银联股份有限公司@...``."""
FIELDS_MAX = 200
RSA_BITS_MIN = 2048

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}", re.ASCII)
_CN_PARTS = 3
_ISSUING_HASHES: dict[x509.ObjectIdentifier, HashAlgorithm] = {
    SignatureAlgorithmOID.RSA_WITH_SHA1: SHA1(),  # noqa: S303 -- what UnionPay's authority signs with, see above
    SignatureAlgorithmOID.RSA_WITH_SHA256: SHA256(),
    SignatureAlgorithmOID.RSA_WITH_SHA384: SHA384(),
    SignatureAlgorithmOID.RSA_WITH_SHA512: SHA512(),
}
_CLOSING = {"{": "}", "[": "]"}
_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    SHA256_KEY: lambda data: hashlib.sha256(data).digest(),
    SM3_KEY: sm3,
}


class Unverified(Exception):
    """What came is not proven to come from UnionPay; the text says why, for the audit only."""


def text_to_sign(fields: Mapping[str, str]) -> str:
    """Return the text under a signature: sorted, without ``signature`` and empty values, not URL-encoded."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "signature" and fields[name])


def sign(fields: Mapping[str, str], *, private_key_pem: str = "", secure_key: str = "") -> dict[str, str]:
    """Return ``fields`` without empty values and with their ``signature``, by their ``signMethod``.

    Raises:
        ValueError: a ``signMethod`` that is not served, or its key is missing.
    """
    kept = {name: value for name, value in fields.items() if value}
    method, text = kept.get("signMethod", ""), text_to_sign(kept)
    if method == RSA:
        octets = _private_key(private_key_pem).sign(_hex_sha256(text), padding.PKCS1v15(), SHA256())
        return kept | {"signature": base64.b64encode(octets).decode()}
    return kept | {"signature": _keyed(method, text, secure_key)}


def verify(
    fields: Mapping[str, str], *, method: str, root_pem: str, middle_pem: str, cn: str, secure_key: str, now: datetime
) -> None:
    """Check an answer or a notice against the account's own ``method``; a message must not choose a weaker one.

    Raises:
        Unverified: anything is missing, wrong, outside its validity or not below the pinned authorities.
    """
    if fields.get("signMethod") != method:
        message = f"signMethod {fields.get('signMethod', '')[:4]!r}, agreed {method!r}"
        raise Unverified(message)
    signature = fields.get("signature", "")
    if not signature:
        message = "no signature"
        raise Unverified(message)
    text = text_to_sign(fields)
    if method != RSA:
        if not secure_key or method not in _DIGESTS:
            message = f"no key for signMethod {method}"
            raise Unverified(message)
        if not hmac.compare_digest(_keyed(method, text, secure_key).encode(), signature.lower().encode()):
            message = "the digest does not fit"
            raise Unverified(message)
        return
    key = trusted_key(fields.get("signPubKeyCert", ""), root_pem=root_pem, middle_pem=middle_pem, cn=cn, now=now)
    try:
        key.verify(base64.b64decode(signature, validate=True), _hex_sha256(text), padding.PKCS1v15(), SHA256())
    except (binascii.Error, ValueError, InvalidSignature) as error:
        message = "the signature does not fit"
        raise Unverified(message) from error


def trusted_key(certificate_pem: str, *, root_pem: str, middle_pem: str, cn: str, now: datetime) -> rsa.RSAPublicKey:
    """Return the key of a certificate that UnionPay sent.

    Raises:
        Unverified: not issued by the pinned middle authority below the pinned root, not valid at ``now``, not
            UnionPay's (third part of the common name is not ``cn``), or not an RSA key of 2048 bits or more.
    """
    try:
        chain = _chain(certificate_pem, middle_pem, root_pem)
    except (InvalidSignature, *UNREADABLE) as error:
        message = "the certificate is not below the pinned authorities"
        raise Unverified(message) from error
    if any(not each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in chain):
        message = "a certificate of the chain is not valid now"
        raise Unverified(message)
    leaf = chain[0]
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    parts = str(names[0].value).split("@") if len(names) == 1 else []
    if len(parts) < _CN_PARTS or parts[2] != cn:
        message = "the certificate is not UnionPay's by its common name"
        raise Unverified(message)
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        message = "the certificate has no RSA key of 2048 bits"
        raise Unverified(message)
    return key


def read_answer(body: bytes) -> dict[str, str]:
    """Split an answer ``name=value&...``: UTF-8, *not* URL-encoded; braces keep ``&`` and ``=``.

    Raises:
        Unverified: not such a text, or a name comes twice.
    """
    try:
        text = body.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        message = "not UTF-8"
        raise Unverified(message) from error
    return _unique([_pair(part) for part in _split(text)])


def read_form(body: bytes) -> dict[str, str]:
    """Read a notice: application/x-www-form-urlencoded, UTF-8.

    Raises:
        Unverified: not such a form, or a name comes twice.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except (UnicodeDecodeError, ValueError) as error:
        message = "not a form in UTF-8"
        raise Unverified(message) from error
    return _unique(pairs)


def encrypt(plain: str, certificate_pem: str) -> str:
    """Encrypt a field by UnionPay's certificate: RSA (PKCS #1 v1.5, whose padding is random), base64."""
    key = _certificate(certificate_pem).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        message = "the encryption certificate has no RSA key"
        raise TypeError(message)
    return base64.b64encode(key.encrypt(plain.encode(), padding.PKCS1v15())).decode()


def serial(certificate_pem: str) -> str:
    """Return the decimal serial of a certificate: ``certId``, ``encryptCertId``."""
    return str(_certificate(certificate_pem).serial_number)


def _hex_sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).hexdigest().encode()


def _keyed(method: str, text: str, secure_key: str) -> str:
    digest = _DIGESTS.get(method)
    if digest is None or not secure_key:
        message = f"signMethod {method!r} is not served or has no key"
        raise ValueError(message)
    return digest(f"{text}&{digest(secure_key.encode()).hex()}".encode()).hex()


def _split(text: str) -> list[str]:
    """Split at ``&`` outside braces and brackets, which do not nest: as the vendor's SDKs read answers."""
    parts, closing, start = [], "", 0
    for position, character in enumerate(text):
        if closing:
            closing = "" if character == closing else closing
        elif character in _CLOSING:
            closing = _CLOSING[character]
        elif character == "&":
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals or not _NAME.fullmatch(name):
        message = "not a list of name=value"
        raise Unverified(message)
    return name, value


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    fields = dict(pairs)
    if len(fields) != len(pairs) or not fields or len(pairs) > FIELDS_MAX:
        message = "a field comes twice, or there are none or too many"
        raise Unverified(message)
    return fields


@lru_cache(maxsize=256)
def _chain(leaf_pem: str, middle_pem: str, root_pem: str) -> tuple[x509.Certificate, ...]:
    """Parse a chain and check its signatures once; validity depends on the moment and is checked at each use."""
    leaf, middle, root = (_certificate(pem) for pem in (leaf_pem, middle_pem, root_pem))
    _check_issued(leaf, middle)
    _check_issued(middle, root)
    for authority in (middle, root):
        try:
            basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound as error:
            message = "an authority without basic constraints"
            raise ValueError(message) from error
        if not basic.ca:
            message = "an authority that may not issue"
            raise ValueError(message)
    return leaf, middle, root


def _check_issued(certificate: x509.Certificate, authority: x509.Certificate) -> None:
    """Check name and signature by hand: ``verify_directly_issued_by`` refuses SHA-1, which CFCA OCA1 signs with."""
    key, algorithm = authority.public_key(), _ISSUING_HASHES.get(certificate.signature_algorithm_oid)
    if certificate.issuer != authority.subject or algorithm is None or not isinstance(key, rsa.RSAPublicKey):
        message = "another issuer, or an algorithm that is not served"
        raise ValueError(message)
    key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)


@lru_cache(maxsize=256)
def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


@lru_cache(maxsize=512)
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    """Parse and check a key once: the check costs many times a signature."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        message = "the merchant's private key is not an RSA key"
        raise TypeError(message)
    return key
