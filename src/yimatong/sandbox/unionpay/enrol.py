"""A merchant of the simulated UnionPay: its keys, and what it configures after enrolment."""

from __future__ import annotations

import secrets

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from yimatong.sandbox.unionpay.control import Certificates
from yimatong.sandbox.unionpay.rows import Merchant


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a merchant configures."""

    merchant: Merchant
    private_key_pem: str
    certificates: Certificates

    def secrets(self) -> dict[str, str]:
        """Return the merchant's secrets by the names that an account gives them."""
        return {
            "private_key_pem": self.private_key_pem,
            "cert_id": self.merchant.cert_id,
            "secure_key": self.merchant.secure_key,
            "root_cert_pem": self.certificates.root_cert_pem,
            "middle_cert_pem": self.certificates.middle_cert_pem,
            "encrypt_cert_pem": self.certificates.encrypt_cert_pem,
        }

    def profile(self) -> dict[str, str]:
        """Return what is not secret."""
        return {"sign_method": self.merchant.sign_method, "tr_id": self.merchant.tr_id}


def merchant_keys(*, mer_id: str, name: str, sign_method: str = "01") -> tuple[Merchant, str]:
    """Draw a merchant's keys; return what UnionPay registers, and the private key (PEM) that the merchant keeps."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    merchant = Merchant(
        mer_id=mer_id,
        cert_id=str(secrets.randbelow(9 * 10**10) + 10**10),
        public_key_pem=public_pem.decode(),
        sign_method=sign_method,
        secure_key="" if sign_method == "01" else secrets.token_hex(16),
        name=name,
    )
    return merchant, private_pem.decode()
