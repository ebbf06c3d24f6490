"""The platform's certificates on WeChat Pay's side: the older way to verify, beside the public key.

Each has a key of its own, a serial number of twenty octets and five years to live (pay.weixin.qq.com, 平台证书). They
are signed by themselves: what the real issuer's chain looks like matters to nobody who gets them sealed.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from yimatong.sandbox.wechat.rows import CertificateRow

LIFE = timedelta(days=5 * 365)


def make(directory: Path, *, moment: datetime, days: float = LIFE.days) -> CertificateRow:
    """Draw a key, write it (mode 0600) and return its certificate, counting from ``moment`` for ``days``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    serial = int.from_bytes(b"\x5f" + secrets.token_bytes(19))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com sign (simulated)")])
    found = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(moment)
        .not_valid_after(moment + timedelta(days=days))
        .sign(key, SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    row = CertificateRow(
        serial_no=f"{serial:X}",
        pem=found.public_bytes(serialization.Encoding.PEM).decode(),
        begins_at=found.not_valid_before_utc,
        ends_at=found.not_valid_after_utc,
    )
    with os.fdopen(os.open(_path(directory, row.serial_no), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(pem)
    return row


def private_key(directory: Path, serial_no: str) -> rsa.RSAPrivateKey:
    """Return the private key of a certificate. Raises ``TypeError`` for a file of another kind."""
    key = serialization.load_pem_private_key(_path(directory, serial_no).read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        message = f"the key of {serial_no} is not an RSA key"
        raise TypeError(message)
    return key


def _path(directory: Path, serial_no: str) -> Path:
    return directory / f"wechat-platform-cert-{serial_no}.pem"
