"""A merchant's enrolment at a simulated bank: a key pair and the certificate that every form carries."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from yimatong.sandbox.netbank.rows import BankName, Merchant

_FROM = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 7300


def merchant_keys(*, bank: BankName, mer_id: str, mer_acct: str, name: str) -> tuple[Merchant, str]:
    """Draw a merchant's keys; return what the bank registers, and the private key (PEM) that the merchant keeps."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{mer_id}.e.{bank}")])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    cert = builder.not_valid_before(_FROM).not_valid_after(_FROM + timedelta(days=_DAYS)).sign(key, SHA256())
    der = cert.public_bytes(serialization.Encoding.DER)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    merchant = Merchant(bank=bank, mer_id=mer_id, mer_acct=mer_acct, mer_cert=base64.b64encode(der).decode(), name=name)
    return merchant, pem.decode()
