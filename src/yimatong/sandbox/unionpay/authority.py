"""The certificates of the simulated UnionPay, and signatures of both sides as 5.1.0 defines them.

A root, a middle certificate, and below it the one that signs answers and the one that encrypts fields. They are made
when they are first needed and kept in the journal's directory (mode 0600).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit import clock
from yimatong.sandbox.unionpay.rows import Merchant, WireError

CN = "041@8310000000083040@中国银联股份有限公司@00000001"
OTHER_CN = "041@8310000000083040@某某支付有限公司@00000002"
_PARTS = ("root", "middle", "sign", "encrypt")
_YEARS = timedelta(days=3650)


class Authority:
    """Keys and certificates by part: root, middle, sign, encrypt."""

    def __init__(self, directory: Path) -> None:
        """Take them from ``directory``, or make them."""
        self._directory = directory
        if not all(self._file(part).exists() for part in _PARTS):
            self._make()
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self.pem: dict[str, str] = {}
        for part in _PARTS:
            text = self._file(part).read_bytes()
            key = serialization.load_pem_private_key(text, password=None)
            if not isinstance(key, rsa.RSAPrivateKey):
                message = f"{self._file(part)} has no RSA key"
                raise TypeError(message)
            self._keys[part] = key
            certificate = x509.load_pem_x509_certificates(text)[0]
            self.pem[part] = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self._odd: dict[str, tuple[rsa.RSAPrivateKey, str]] = {}

    def sign(self, fields: dict[str, str], merchant: Merchant | None, *, odd: str = "") -> dict[str, str]:
        """Return an answer or a notice with its signature.

        ``odd`` makes it wrong: ``signature`` (over something else), ``chain`` (no authority), ``cn`` (somebody else's
        certificate below the same authority).
        """
        told = {name: value for name, value in fields.items() if value}
        method = merchant.sign_method if merchant else "01"
        told["signMethod"] = method
        if method == "01":
            key, told["signPubKeyCert"] = self._signer(odd)
            text = _text(told) + ("?" if odd == "signature" else "")
            octets = key.sign(hashlib.sha256(text.encode()).hexdigest().encode(), padding.PKCS1v15(), SHA256())
            return told | {"signature": base64.b64encode(octets).decode()}
        secret = merchant.secure_key if merchant and not odd else "another key"
        return told | {"signature": _keyed(method, _text(told), secret)}

    def decrypt(self, text: str) -> str:
        """Return a field that was encrypted for UnionPay. Raises ``WireError`` 10."""
        try:
            sealed = base64.b64decode(text, validate=True)
            return self._keys["encrypt"].decrypt(sealed, padding.PKCS1v15()).decode()
        except (binascii.Error, ValueError, UnicodeDecodeError) as error:
            raise WireError(code="10", detail="敏感信息解密失败") from error

    @property
    def encrypt_cert_id(self) -> str:
        """Return the decimal serial of the encryption certificate."""
        return str(x509.load_pem_x509_certificate(self.pem["encrypt"].encode()).serial_number)

    def _signer(self, odd: str) -> tuple[rsa.RSAPrivateKey, str]:
        if odd not in ("chain", "cn"):
            return self._keys["sign"], self.pem["sign"]
        if odd not in self._odd:
            key = _key()
            if odd == "chain":
                issuer_key, issuer = key, _name(CN)
                made = _issue(CN, key, issuer, issuer_key, may_issue=False)
            else:
                middle = x509.load_pem_x509_certificate(self.pem["middle"].encode())
                made = _issue(OTHER_CN, key, middle.subject, self._keys["middle"], may_issue=False)
            self._odd[odd] = key, made.public_bytes(serialization.Encoding.PEM).decode()
        return self._odd[odd]

    def _file(self, part: str) -> Path:
        return self._directory / f"unionpay-{part}.pem"

    def _make(self) -> None:
        keys = {part: _key() for part in _PARTS}
        root = _issue("模拟根证书 SIMULATED ROOT", keys["root"], None, keys["root"], may_issue=True)
        middle = _issue("模拟中级证书 SIMULATED OCA", keys["middle"], root.subject, keys["root"], may_issue=True)
        made = {
            "root": root,
            "middle": middle,
            "sign": _issue(CN, keys["sign"], middle.subject, keys["middle"], may_issue=False),
            "encrypt": _issue(CN, keys["encrypt"], middle.subject, keys["middle"], may_issue=False),
        }
        for part in _PARTS:
            text = made[part].public_bytes(serialization.Encoding.PEM) + keys[part].private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            temporary = self._file(part).with_suffix(".part")
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(text)
            temporary.replace(self._file(part))


def verify(fields: dict[str, str], merchant: Merchant) -> None:
    """Check a merchant's request. Raises ``WireError`` 11."""
    method, signature = fields.get("signMethod", ""), fields.get("signature", "")
    if method != merchant.sign_method:
        raise WireError(code="11", detail="signMethod 与商户配置不一致")
    text = _text(fields)
    if method != "01":
        if signature != _keyed(method, text, merchant.secure_key):
            raise WireError(code="11")
        return
    if fields.get("certId") != merchant.cert_id:
        raise WireError(code="11", detail="certId 与商户证书不一致")
    try:
        _public_key(merchant.public_key_pem).verify(
            base64.b64decode(signature, validate=True),
            hashlib.sha256(text.encode()).hexdigest().encode(),
            padding.PKCS1v15(),
            SHA256(),
        )
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise WireError(code="11") from error


def check_merchant(merchant: Merchant) -> None:
    """Refuse a merchant whose key cannot be used. Raises ``WireError`` 10."""
    try:
        _public_key(merchant.public_key_pem)
    except (ValueError, TypeError) as error:
        raise WireError(code="10", detail="public_key_pem 不是 PEM 格式的 RSA 公钥") from error
    if merchant.sign_method not in ("01", "11", "12") or (merchant.sign_method != "01" and not merchant.secure_key):
        raise WireError(code="10", detail="sign_method 应为 01，或 11、12 并带 secure_key")


def _text(fields: dict[str, str]) -> str:
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "signature" and fields[name])


def _keyed(method: str, text: str, secure_key: str) -> str:
    def digest(data: str) -> str:
        octets = data.encode()
        return sm3(octets).hex() if method == "12" else hashlib.sha256(octets).hexdigest()

    return digest(f"{text}&{digest(secure_key)}")


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(cn: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def _issue(
    cn: str, key: rsa.RSAPrivateKey, issuer: x509.Name | None, issuer_key: rsa.RSAPrivateKey, *, may_issue: bool
) -> x509.Certificate:
    start = clock.now() - timedelta(days=365)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(cn))
        .issuer_name(issuer or _name(cn))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _YEARS)
        .add_extension(x509.BasicConstraints(ca=may_issue, path_length=None), critical=True)
        .sign(issuer_key, SHA256())
    )


@lru_cache(maxsize=256)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        message = "not an RSA key"
        raise TypeError(message)
    return key
