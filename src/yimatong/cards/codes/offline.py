"""Codes that are read without the network (离线码), byte by byte (docs/spec/codes.md, 11). Pure.

``TOKEN = "S." + BASE32(header 13 | r 32 | s 32)``, unpadded, where
``header = version 1 | kid 1 | class 1 | ttl 1 (unit 5 s) | issued_at 4 | nonce 5``, and SM2 with SM3 (GB/T 32918.2,
signer 1234567812345678) signs ``"YMT-OFF-1" | issuer 6 | VUID 64 | VALID 16 | header``. Times and nonce are those
inside VALID, so that a use with the network and one without it use up the same nonce.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from yimatong.cards.codec import SERVES, TTL_UNIT_S, CodeClass, CodeKind, CodeText, Purpose, Valid, parse
from yimatong.cards.codes.judgement import SKEW_S
from yimatong.cards.errors import CodeExpired, CodeNotGenuine, CodeWrongPurpose
from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm import sm2

TOKEN_VERSION: Final = 1
TOKEN_BYTES: Final = 77
CLASSES: Final = frozenset({CodeClass.GENERAL, CodeClass.VISIT})
"""Registration and visits: nothing that moves money or opens records is ever offline."""

_HEADER: Final = struct.Struct(">BBBBI5s")
_BASE32_CHARACTERS: Final = 124


class Header(NamedTuple):
    """What an offline code says in the clear, under its signature."""

    kid: int
    valid: Valid

    def packed(self) -> bytes:
        """Return the 13 bytes of the header."""
        valid = self.valid
        return _HEADER.pack(
            TOKEN_VERSION, self.kid, valid.code_class, valid.ttl_s // TTL_UNIT_S, valid.issued_at, valid.nonce
        )


def signed_text(issuer: str, vuid: str, sealed: bytes, header: Header) -> bytes:
    """Return what is signed; ``sealed`` are the 16 bytes of VALID."""
    return b"YMT-OFF-1" + issuer.encode() + vuid.encode() + sealed + header.packed()


def token(header: Header, signature: bytes) -> str:
    """Return TOKEN; ``signature`` is r || s, 64 bytes."""
    return "S." + base64.b32encode(header.packed() + signature).decode().rstrip("=")


def read_token(text: str) -> tuple[Header, bytes]:
    """Return header and signature of a TOKEN; only the one spelling of the 77 bytes is taken.

    Raises:
        CodeNotGenuine: not the token of an offline code.
    """
    try:
        raw = base64.b32decode(text.removeprefix("S.") + "====") if len(text) == _BASE32_CHARACTERS + 2 else b""
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != TOKEN_BYTES or not text.startswith("S."):
        raise CodeNotGenuine(audit="offline token unreadable")
    version, kid, code_class, ttl, issued_at, nonce = _HEADER.unpack(raw[: _HEADER.size])
    if version != TOKEN_VERSION or code_class not in CLASSES or ttl == 0:
        raise CodeNotGenuine(audit="offline header unknown")
    header = Header(kid, Valid(CodeClass(code_class), issued_at, ttl * TTL_UNIT_S, nonce))
    signature = raw[_HEADER.size :]
    if token(header, signature) != text:
        raise CodeNotGenuine(audit="offline token spelt in another way")
    return header, signature


def check(code: CodeText, *, issuer: str, public_keys: Mapping[int, bytes]) -> Header:
    """Check the signature of an offline code with the public keys (65 bytes) that are good, by kid.

    Raises:
        CodeNotGenuine: no offline code, altered, pasted onto another VUID, or signed by a key that is not good.
    """
    if code.kind is not CodeKind.OFFLINE:
        raise CodeNotGenuine(audit="not an offline code")
    header, signature = read_token(code.token)
    public = public_keys.get(header.kid)
    if public is None:
        raise CodeNotGenuine(audit="no such signing key")
    try:
        sm2.verify(public, signed_text(issuer, code.vuid, code.valid, header), signature)
    except SignatureInvalid:
        raise CodeNotGenuine(audit="offline signature") from None
    return header


def check_online(code: CodeText, valid: Valid | None, *, issuer: str, public_keys: Mapping[int, bytes]) -> None:
    """Check an offline code that is verified with the network: its signature, and that VALID says the same.

    Raises:
        CodeNotGenuine: as for ``check``, or header and VALID differ (``valid`` None: VALID did not open).
    """
    header = check(code, issuer=issuer, public_keys=public_keys)
    if header.valid != valid:
        raise CodeNotGenuine(audit="VALID and token differ")


def read_offline(
    text: str,
    *,
    purpose: Purpose,
    issuer: str,
    public_keys: Mapping[int, bytes],
    now: datetime,
    skew_s: int = SKEW_S,
) -> tuple[str, Header]:
    """Judge an offline code as a terminal without the network does; return its VUID and header.

    What only the terminal knows is its own to ask: whether it saw the nonce before, and its list of revocations.

    Raises:
        CodeUnreadable, CodeNotGenuine, CodeExpired, CodeWrongPurpose.
    """
    code = parse(text)
    header = check(code, issuer=issuer, public_keys=public_keys)
    moment, valid = now.timestamp(), header.valid
    if not valid.issued_at - skew_s <= moment <= valid.issued_at + valid.ttl_s + skew_s:
        raise CodeExpired
    if valid.code_class not in SERVES[purpose]:
        raise CodeWrongPurpose
    return code.vuid, header
