"""Keys that sign the genuine samples of ``payments-fuzz``, apart from the adapters that read them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import urlencode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount


class RsaSigner:
    """An RSA key of a party."""

    def __init__(self) -> None:
        """Draw it."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_pem = (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def sign(self, content: bytes) -> str:
        """Return the base64 RSA-SHA256 signature (PKCS #1 v1.5) over ``content``."""
        return base64.b64encode(self._key.sign(content, padding.PKCS1v15(), SHA256())).decode()


def account(
    channel: str,
    *,
    merchant: str,
    app: str = "",
    secrets: Mapping[str, str],
    profile: Mapping[str, str] | None = None,
) -> ChannelAccount:
    """Return a merchant account."""
    return ChannelAccount(
        account_id="a",
        institution_id="h",
        channel=channel,
        merchant_id=merchant,
        app_id=app,
        secrets={name: Secret(value) for name, value in secrets.items()},
        profile=profile or {},
    )


def form(fields: Mapping[str, str]) -> bytes:
    """Return fields as a browser posts them."""
    return urlencode(fields).encode()
