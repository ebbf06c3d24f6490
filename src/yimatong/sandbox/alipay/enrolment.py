"""An app enrolled at the simulated Alipay: for tests, first steps and the demonstration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from yimatong.sandbox.alipay.rows import Merchant


class EnrolledApp(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a merchant configures after enrolment."""

    app_id: str
    pid: str
    private_key_pem: str
    alipay_public_key_pem: str


def app_keys(*, app_id: str, pid: str, name: str = "模拟医院") -> tuple[Merchant, str]:
    """Draw an app's keys; return what Alipay registers, and the private key (PEM) that the merchant keeps."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Merchant(app_id=app_id, pid=pid, public_key_pem=public_pem.decode(), name=name), private_pem.decode()


def enrol_app(control: Callable[[str, Any], Any], *, app_id: str, pid: str, name: str = "模拟医院") -> EnrolledApp:
    """Make keys for an app, register it by ``control`` (path, body), and return what the merchant configures."""
    merchant, private_key_pem = app_keys(app_id=app_id, pid=pid, name=name)
    shown = control("/control/alipay/merchants", msgspec.to_builtins(merchant))
    return EnrolledApp(
        app_id=app_id,
        pid=pid,
        private_key_pem=private_key_pem,
        alipay_public_key_pem=shown["alipay_public_key_pem"],
    )
