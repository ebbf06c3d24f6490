"""Signatures and sealed resources of API v3. Pure: time and nonce are arguments; verification raises.

Sources: pay.weixin.qq.com, 接口规则: 签名生成 for requests, 签名验证 for answers and notices, 证书和回调报文解密 for
resources.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

SCHEME = "WECHATPAY2-SHA256-RSA2048"
WINDOW_S = 300
PROBE = "WECHATPAY/SIGNTEST/"
"""WeChat Pay sends notices with such signatures to see whether a merchant verifies; they must be refused."""


_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
"""Seconds since 1970. ``isdecimal`` would let Arabic digits through, and a million digits."""


class Unverified(Exception):
    """What came is not proven to come from WeChat Pay; the text says why, for the audit only."""


def sign(private_key_pem: str, *lines: str) -> str:
    """Return the base64 RSA-SHA256 (PKCS #1 v1.5) signature over ``lines``, each ended by a line feed."""
    message = "".join(f"{line}\n" for line in lines).encode()
    return base64.b64encode(_private_key(private_key_pem).sign(message, padding.PKCS1v15(), SHA256())).decode()


def authorization(
    *,
    merchant_id: str,
    serial_no: str,
    private_key_pem: str,
    method: str,
    target: str,
    body: str,
    now: datetime,
    nonce: str,
) -> str:
    """Return the ``Authorization`` header of a request; ``target`` is path and query as they are sent."""
    timestamp = str(int(now.timestamp()))
    signature = sign(private_key_pem, method, target, timestamp, nonce, body)
    parts = {
        "mchid": merchant_id,
        "nonce_str": nonce,
        "signature": signature,
        "timestamp": timestamp,
        "serial_no": serial_no,
    }
    return f"{SCHEME} " + ",".join(f'{name}="{value}"' for name, value in parts.items())


def verify(headers: Mapping[str, str], body: bytes, *, keys: Mapping[str, str], now: datetime) -> None:
    """Check an answer or a notice: known key id, time stamp within five minutes, signature over the raw body.

    ``headers`` have lower-case names; ``keys`` are public keys (PEM) by their ids.

    Raises:
        Unverified: anything is missing, old, unknown or wrong.
    """
    try:
        timestamp, nonce = headers["wechatpay-timestamp"], headers["wechatpay-nonce"]
        signature, key_id = headers["wechatpay-signature"], headers["wechatpay-serial"]
    except KeyError as error:
        message = f"header {error} is missing"
        raise Unverified(message) from error
    if headers.get("wechatpay-signature-type", SCHEME) != SCHEME:
        message = "another signature type"
        raise Unverified(message)
    if signature.startswith(PROBE):
        message = "a probe signature"
        raise Unverified(message)
    if not _TIMESTAMP.fullmatch(timestamp) or abs(int(timestamp) - now.timestamp()) > WINDOW_S:
        message = f"time stamp {timestamp[:20]} is not within {WINDOW_S} s"
        raise Unverified(message)
    if key_id not in keys:
        message = f"unknown key id {key_id[:64]}"
        raise Unverified(message)
    try:
        octets = base64.b64decode(signature, validate=True)
        signed = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        public_key(keys[key_id]).verify(octets, signed, padding.PKCS1v15(), SHA256())
    except (ValueError, InvalidSignature) as error:  # ValueError: no base64, no ASCII, no UTF-8
        message = "the signature does not fit"
        raise Unverified(message) from error


def unseal(ciphertext: str, *, nonce: str, associated_data: str, api_v3_key: str) -> bytes:
    """Return the plain resource of a notice (AEAD_AES_256_GCM, base64).

    Raises:
        Unverified: not sealed with this merchant's APIv3 key, or altered.
    """
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
        return AESGCM(api_v3_key.encode()).decrypt(nonce.encode(), sealed, associated_data.encode())
    except (InvalidTag, ValueError) as error:  # ValueError: no base64, a nonce of another length
        message = "the resource is not sealed with this merchant's key"
        raise Unverified(message) from error


@lru_cache(maxsize=512)
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    """Parse and check a key once: the check costs many times a signature."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        message = "the merchant's private key is not an RSA key"
        raise TypeError(message)
    return key


@lru_cache(maxsize=512)
def public_key(pem: str) -> rsa.RSAPublicKey:
    """Parse a public key (PEM) once. Raises ``ValueError`` for no key at all, ``TypeError`` for another kind."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        message = "the platform's public key is not an RSA key"
        raise TypeError(message)
    return key
