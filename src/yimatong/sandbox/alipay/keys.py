"""RSA2 on Alipay's side. Source: opendocs.alipay.com, 签名专区."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from yimatong.sandbox.alipay.rows import AlipayError


class PlatformKey:
    """The key pair of the simulated Alipay."""

    def __init__(self, directory: Path) -> None:
        """Read ``alipay-platform-key.pem``, or make it (mode 0600) at the first start."""
        path = directory / "alipay-platform-key.pem"
        if not path.exists():
            fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            part = path.with_suffix(".part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(
                    fresh.private_bytes(
                        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                    )
                )
            part.replace(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            message = f"{path} is not an RSA key"
            raise TypeError(message)
        self._key = key
        self.public_pem = (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def sign(self, content: bytes) -> str:
        """Return the base64 RSA-SHA256 signature over ``content``."""
        return base64.b64encode(self._key.sign(content, padding.PKCS1v15(), SHA256())).decode()

    def signed_form(self, facts: Mapping[str, str]) -> dict[str, str]:
        """Return a notice's or a return page's fields with ``sign_type`` and ``sign``, neither of which is signed."""
        text = "&".join(f"{name}={value}" for name, value in sorted(facts.items()))
        return {**facts, "sign_type": "RSA2", "sign": self.sign(text.encode())}


def verify_request(parameters: Mapping[str, str], *, public_key_pem: str) -> None:
    """Check a merchant's signature: everything but ``sign`` and empty values. Raises ``isv.invalid-signature``."""
    kept = sorted((name, value) for name, value in parameters.items() if value and name != "sign")
    text = "&".join(f"{name}={value}" for name, value in kept)
    try:
        octets = base64.b64decode(parameters.get("sign", ""), validate=True)
        _public_key(public_key_pem).verify(octets, text.encode(), padding.PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise AlipayError(40002, "isv.invalid-signature", "验签出错，签名与应用公钥不匹配") from error


def check_public_key(pem: str) -> None:
    """Refuse a merchant whose public key is not an RSA key in PEM."""
    try:
        _public_key(pem)
    except (ValueError, TypeError) as error:
        raise AlipayError(40002, "isv.invalid-public-key", "应用公钥格式不正确") from error


@lru_cache(maxsize=256)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        message = "not an RSA key"
        raise TypeError(message)
    return key
