"""Signatures and content of the insurance, on the insurance's side.

From the same public chapter as the adapter and written apart from it: fields in ASCII order as ``k=v``, ``signData``,
``encData``, ``extra`` and the empty left out, objects as sorted compact JSON, ``&key=`` and the secret at the end;
SM3withSM2; SM4-ECB under a key drawn from id and secret.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm import sm2, sm4
from yimatong.kit.clock import BEIJING
from yimatong.sandbox.medical.rows import Institution, InsuranceError

WINDOW_S = 300
_LEFT_OUT = ("signData", "encData", "extra")


class PlatformKey:
    """The SM2 key of the simulated insurance."""

    def __init__(self, directory: Path) -> None:
        """Read ``medical-platform-key``, or make it (mode 0600) at the first start."""
        path = directory / "medical-platform-key"
        if not path.exists():
            private, _ = sm2.generate_keypair()
            part = path.with_suffix(".part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(private.hex())
            part.replace(path)
        self._private = bytes.fromhex(path.read_text("ascii"))
        self.public_hex = sm2.public_key(self._private).hex()

    def sign(self, institution: Institution, fields: Mapping[str, Any], *, broken: bool = False) -> str:
        """Return the base64 signature over ``fields``; ``broken`` signs something else."""
        text = text_of(fields, institution.app_secret) + ("?" if broken else "")
        return base64.b64encode(sm2.sign(self._private, text.encode(), signer_id=_signer(institution))).decode()

    def answer(
        self,
        institution: Institution,
        content: Mapping[str, Any] | None,
        *,
        now: datetime,
        old: bool,
        broken: bool,
        **said: Any,
    ) -> dict[str, Any]:
        """Return an answer or a notice of the mobile centre; ``old`` dates it an hour back."""
        moment = now - timedelta(hours=1) if old else now
        fields: dict[str, Any] = {
            **said,
            "appId": institution.app_id,
            "encType": "SM4",
            "signType": "SM2",
            "version": "2.0.1",
            "timestamp": f"{moment.astimezone(BEIJING):%Y%m%d%H%M%S}",
        }
        kept = _kept(content or {})
        signature = self.sign(institution, fields | {"data": kept}, broken=broken)
        if kept:
            fields["encData"] = encrypt(institution, _json(kept))
        return fields | {"signData": signature}


def opened(institution: Institution, body: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the content of a request of the mobile centre. Raises ``InsuranceError``."""
    try:
        content = json.loads(_decrypt(institution, str(body["encData"])))
        stamp = datetime.strptime(str(body["timestamp"]), "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except (KeyError, ValueError, IndexError) as error:
        raise InsuranceError(code="401", message="报文解密失败") from error
    if abs((stamp - now).total_seconds()) > WINDOW_S:
        raise InsuranceError(code="401", message="报文已过期")
    fields = {name: value for name, value in body.items() if name != "signData"}
    check(institution, fields | {"data": content}, str(body.get("signData", "")))
    if not isinstance(content, dict):
        raise InsuranceError(code="400", message="data 应为对象")
    return content


def check(institution: Institution, fields: Mapping[str, Any], signature: str) -> None:
    """Check a hospital's signature. Raises ``InsuranceError``."""
    try:
        octets = base64.b64decode(signature, validate=True)
        text = text_of(fields, institution.app_secret).encode()
        sm2.verify(bytes.fromhex(institution.public_key), text, octets, signer_id=_signer(institution))
    except (ValueError, SignatureInvalid) as error:
        raise InsuranceError(code="401", message="验签失败") from error


def text_of(fields: Mapping[str, Any], secret: str) -> str:
    """Return the text that is signed."""
    parts = []
    for name, value in sorted(_kept(fields).items()):
        if name not in _LEFT_OUT:
            parts.append(f"{name}={value if isinstance(value, str) else _json(value)}")
    return "&".join([*parts, f"key={secret}"])


def encrypt(institution: Institution, text: str) -> str:
    """Return a content as the wire carries it."""
    return sm4.encrypt_blocks(_content_key(institution), _filled(text.encode())).hex().upper()


def _decrypt(institution: Institution, content: str) -> str:
    plain = sm4.decrypt_blocks(_content_key(institution), bytes.fromhex(content))
    return plain[: -plain[-1]].decode()


def _content_key(institution: Institution) -> bytes:
    drawn = sm4.encrypt_blocks(institution.app_id[:16].encode(), _filled(institution.app_secret.encode()))
    return drawn.hex().upper().encode()[:16]


def _signer(institution: Institution) -> bytes:
    return institution.app_secret.encode() if institution.signer == "app_secret" else sm2.DEFAULT_ID


def _filled(octets: bytes) -> bytes:
    short = 16 - len(octets) % 16
    return octets + bytes((short,)) * short


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _kept(value: Any) -> Any:
    """Return ``value`` without the empty, however deep."""
    if isinstance(value, dict):
        inside = {name: _kept(each) for name, each in value.items()}
        return {name: each for name, each in inside.items() if each is not None and each not in ("", [], {})}
    if isinstance(value, list):
        return [each for each in map(_kept, value) if each is not None and each not in ("", [], {})]
    return value
