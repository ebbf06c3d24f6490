"""Signatures and sealing of API v3 on WeChat Pay's side.

Source: pay.weixin.qq.com, 接口规则 (签名生成, 签名验证, 证书和回调报文解密).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from yimatong.sandbox.wechat.rows import WireError

SCHEME = "WECHATPAY2-SHA256-RSA2048"
WINDOW_S = 300
_PART = re.compile(r'(\w+)="([^"]*)"')
_SIGN_ERROR = (401, "SIGN_ERROR")


class Signer:
    """A private key of the platform and the id by which merchants know its public half."""

    def __init__(self, key: rsa.RSAPrivateKey, key_id: str) -> None:
        """Sign as ``key_id``: a public key id, or the serial number of a certificate."""
        self._key = key
        self.key_id = key_id

    def headers(self, body: bytes, *, moment: datetime, broken: bool = False) -> dict[str, str]:
        """Return the five headers that sign an answer or a notice; ``broken`` signs something else."""
        timestamp, nonce = str(int(moment.timestamp())), secrets.token_hex(16)
        message = b"\n".join((timestamp.encode(), nonce.encode(), b"?" + body if broken else body, b""))
        signature = self._key.sign(message, padding.PKCS1v15(), SHA256())
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Serial": self.key_id,
            "Wechatpay-Signature-Type": SCHEME,
        }

    def unsealed(self, text: str) -> str:
        """Open a field that a merchant sealed for us (RSA-OAEP, SHA-1). Raises ``ValueError``."""
        oaep = padding.OAEP(mgf=padding.MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 -- as published
        return self._key.decrypt(base64.b64decode(text, validate=True), oaep).decode()


class PlatformKey(Signer):
    """The key pair of the simulated WeChat Pay and its public key id."""

    def __init__(self, directory: Path) -> None:
        """Read ``wechat-platform-key.pem``, or make it (mode 0600) at the first start."""
        path = directory / "wechat-platform-key.pem"
        if not path.exists():
            fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            part = path.with_suffix(".part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(
                    fresh.private_bytes(
                        serialization.Encoding.PEM,
                        serialization.PrivateFormat.PKCS8,
                        serialization.NoEncryption(),
                    )
                )
            part.replace(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            message = f"{path} is not an RSA key"
            raise TypeError(message)
        public = key.public_key()
        self.public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
        super().__init__(key, f"PUB_KEY_ID_{public.public_numbers().n % 10**31:031d}")


def seal(plain: str, *, api_v3_key: str, associated_data: str) -> dict[str, str]:
    """Return the ``resource`` of a notice without its ``original_type`` (AEAD_AES_256_GCM)."""
    nonce = secrets.token_hex(6)
    sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plain.encode(), associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(sealed).decode(),
        "associated_data": associated_data,
        "nonce": nonce,
    }


def claimed(authorization: str) -> dict[str, str]:
    """Split an ``Authorization`` header; raises ``SIGN_ERROR`` when a part is missing or the scheme is another."""
    scheme, _, rest = authorization.partition(" ")
    parts = dict(_PART.findall(rest))
    if scheme != SCHEME or set(parts) != {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}:
        raise WireError(*_SIGN_ERROR, "Http头缺少Authorization，或其格式不符合要求")
    return parts


def verify(parts: dict[str, str], *, public_key_pem: str, method: str, url: str, body: bytes, moment: datetime) -> None:
    """Check a merchant's signature and the age of its time stamp (five minutes); raises ``SIGN_ERROR``."""
    if not parts["timestamp"].isdecimal() or abs(int(parts["timestamp"]) - moment.timestamp()) > WINDOW_S:
        raise WireError(*_SIGN_ERROR, "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    head = f"{method}\n{url}\n{parts['timestamp']}\n{parts['nonce_str']}\n"
    try:
        _public_key(public_key_pem).verify(
            base64.b64decode(parts["signature"], validate=True),
            head.encode() + body + b"\n",
            padding.PKCS1v15(),
            SHA256(),
        )
    except (InvalidSignature, binascii.Error) as error:
        raise WireError(*_SIGN_ERROR, "错误的签名，验签失败") from error


def check_public_key(pem: str) -> None:
    """Refuse a merchant whose public key is not an RSA key in PEM; raises ``PARAM_ERROR``."""
    try:
        _public_key(pem)
    except (ValueError, TypeError) as error:
        raise WireError(400, "PARAM_ERROR", "public_key_pem 不是 PEM 格式的 RSA 公钥") from error


@lru_cache(maxsize=256)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        message = "not an RSA key"
        raise TypeError(message)
    return key
