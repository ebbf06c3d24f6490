"""Reading codes without the network (离线码): a whole verifier that needs the platform's public keys only.

>>> from yimatong_sdk import Client
>>> from yimatong_sdk.offline import OfflineReader
>>> reader = OfflineReader(trusted={1: "04..."})                                  # doctest: +SKIP
>>> reader.refresh(client.offline_bundle())       # with the network, once a day at least      # doctest: +SKIP
>>> reader.read(text, purpose="visit").vuid       # without it                                  # doctest: +SKIP
>>> client.upload_offline_uses(reader.unsent())   # with it again                               # doctest: +SKIP

What is signed, byte by byte: docs/spec/codes.md, 11. The signature is SM2 with SM3 (GB/T 32918.2-2016) on the
recommended curve of GB/T 32918.5-2017, signer ``1234567812345678``; it is computed here in plain Python.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.hashes import SM3, Hash

from yimatong_sdk.errors import YimatongError

SKEW_S = 30
_TEXT = re.compile(r"([0-9A-Fa-f]{64}):0:([0-9A-Fa-f]{32}):(S\.[A-Z2-7]{124})", re.ASCII)
_HEADER = struct.Struct(">BBBBI5s")
_CLASSES = {0: "general", 1: "visit"}
_PURPOSES = frozenset({"register", "visit"})


class Reason(StrEnum):
    """Why a code (or a bundle) is not taken."""

    UNREADABLE = "unreadable"
    NOT_GENUINE = "not_genuine"
    EXPIRED = "expired"
    WRONG_PURPOSE = "wrong_purpose"
    USED = "used"
    REVOKED = "revoked"
    LIST_TOO_OLD = "list_too_old"


class OfflineRefused(YimatongError):
    """The code is not taken, for ``reason``."""

    def __init__(self, reason: Reason) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OfflineCode:
    """A genuine offline code: whose, of which class, and since when."""

    vuid: str
    code_class: str
    issued_at: int
    ttl_s: int
    nonce: bytes


class OfflineReader:
    """One terminal's reader; keep one for the life of the process, it knows what it saw.

    ``trusted`` are public keys (04 || x || y in hex) by kid that the terminal was set up with; a bundle signed by one
    of them brings the others.
    """

    def __init__(self, *, trusted: Mapping[int, str]) -> None:
        """Start with the keys of the set-up; nothing is read before the first bundle."""
        self._keys = {kid: bytes.fromhex(key) for kid, key in trusted.items()}
        self._issuer = ""
        self._good_until = 0
        self._revoked: dict[str, int] = {}
        self._seen: dict[tuple[str, int, bytes], int] = {}
        self._unsent: list[dict[str, str]] = []

    def refresh(self, bundle: Mapping[str, Any]) -> None:
        """Take a bundle of the platform: keys, revoked keys, revoked codes.

        Raises:
            OfflineRefused: ``not_genuine``: not signed by a key that is trusted.
        """
        key = self._keys.get(int(bundle["kid"]))
        signed = b"YMT-OFFLINE-LIST-1" + str(bundle["content"]).encode()
        if key is None or not _verify(key, signed, bytes.fromhex(str(bundle["signature"]))):
            raise OfflineRefused(Reason.NOT_GENUINE)
        content = json.loads(bundle["content"])
        self._keys = {int(kid): bytes.fromhex(value) for kid, value in content["keys"].items()}
        self._issuer, self._good_until = content["issuer"], content["good_until"]
        self._revoked = content["revoked"]

    def read(self, text: str, *, purpose: str, now: int | None = None) -> OfflineCode:
        """Judge a code, remember it, and put it on the list of what is told later. ``now``: Unix seconds.

        Raises:
            OfflineRefused: it is not taken.
        """
        moment = int(time.time()) if now is None else now
        if moment > self._good_until:
            raise OfflineRefused(Reason.LIST_TOO_OLD)
        code = check(text, issuer=self._issuer, public_keys=self._keys)
        if not code.issued_at - SKEW_S <= moment <= code.issued_at + code.ttl_s + SKEW_S:
            raise OfflineRefused(Reason.EXPIRED)
        if code.issued_at < self._revoked.get(_who(code.vuid), 0):
            raise OfflineRefused(Reason.REVOKED)
        key = (code.vuid, code.issued_at, code.nonce)
        self._seen = {each: end for each, end in self._seen.items() if end >= moment}
        if key in self._seen:
            raise OfflineRefused(Reason.USED)
        if purpose not in _PURPOSES:
            raise OfflineRefused(Reason.WRONG_PURPOSE)
        self._seen[key] = code.issued_at + code.ttl_s + 2 * SKEW_S
        seen_at = datetime.fromtimestamp(moment, UTC).isoformat()
        self._unsent.append({"code": text, "purpose": purpose, "seen_at": seen_at})
        return code

    def unsent(self) -> list[dict[str, str]]:
        """Return what was not told yet, 200 at most; call ``sent`` with their number once the platform has them."""
        return self._unsent[:200]

    def sent(self, number: int) -> None:
        """Forget the first ``number`` of ``unsent``: the platform has them."""
        del self._unsent[:number]


def check(text: str, *, issuer: str, public_keys: Mapping[int, bytes]) -> OfflineCode:
    """Check form and signature of an offline code; ``public_keys`` are the good ones, 65 bytes, by kid.

    Raises:
        OfflineRefused: ``unreadable`` or ``not_genuine``.
    """
    match = _TEXT.fullmatch(text.removesuffix("\n").removesuffix("\r"))
    if match is None:
        raise OfflineRefused(Reason.UNREADABLE)
    vuid, valid, token = match[1].upper(), bytes.fromhex(match[2]), match[3]
    try:
        raw = base64.b32decode(token[2:] + "====")
    except (binascii.Error, ValueError):
        raise OfflineRefused(Reason.UNREADABLE) from None
    header, signature = raw[: _HEADER.size], raw[_HEADER.size :]
    version, kid, code_class, ttl, issued_at, nonce = _HEADER.unpack(header)
    key = public_keys.get(kid)
    spelt = base64.b32encode(raw).decode().rstrip("=") == token[2:]
    if version != 1 or code_class not in _CLASSES or ttl == 0 or key is None or not spelt:
        raise OfflineRefused(Reason.NOT_GENUINE)
    if not _verify(key, b"YMT-OFF-1" + issuer.encode() + vuid.encode() + valid + header, signature):
        raise OfflineRefused(Reason.NOT_GENUINE)
    return OfflineCode(vuid, _CLASSES[code_class], issued_at, ttl * 5, nonce)


def _who(vuid: str) -> str:
    return _sm3(b"YMT-REVOKED-1" + vuid.encode())[:16].hex()


def _sm3(data: bytes) -> bytes:
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize()


# GB/T 32918.5-2017: y^2 = x^3 + ax + b over F_p, base point (_GX, _GY) of order _N
_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A = _P - 3
_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
_GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
_SIGNER = b"1234567812345678"
_POINT_BYTES = 65
_Jacobian = tuple[int, int, int]


def _verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` (r || s) fits (GB/T 32918.2 clause 7.1)."""
    if len(public) != _POINT_BYTES or public[0] != 4 or len(signature) != 64:  # noqa: PLR2004 -- sizes of the standard
        return False
    x, y = int.from_bytes(public[1:33]), int.from_bytes(public[33:])
    if x >= _P or y >= _P or (y * y - (x * x * x + _A * x + _B)) % _P:
        return False
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    t = (r + s) % _N
    if not (0 < r < _N and 0 < s < _N and t):
        return False
    curve = b"".join(number.to_bytes(32) for number in (_A, _B, _GX, _GY))
    z = _sm3((8 * len(_SIGNER)).to_bytes(2) + _SIGNER + curve + public[1:])
    e = int.from_bytes(_sm3(z + message))
    point = _add(_times(s, (_GX, _GY, 1)), _times(t, (x, y, 1)))
    if not point[2]:
        return False
    return (e + point[0] * pow(point[2], -2, _P) % _P) % _N == r


def _times(number: int, point: _Jacobian) -> _Jacobian:
    total: _Jacobian = (1, 1, 0)
    for bit in f"{number:b}":
        total = _double(total)
        if bit == "1":
            total = _add(total, point)
    return total


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    if not z or not y:
        return (1, 1, 0)
    square = y * y % _P
    s = 4 * x * square % _P
    m = (3 * x * x + _A * pow(z, 4, _P)) % _P
    nx = (m * m - 2 * s) % _P
    return nx, (m * (s - nx) - 8 * square * square) % _P, 2 * y * z % _P


def _add(one: _Jacobian, two: _Jacobian) -> _Jacobian:
    if not one[2]:
        return two
    if not two[2]:
        return one
    z1, z2 = one[2] * one[2] % _P, two[2] * two[2] % _P
    u1, u2 = one[0] * z2 % _P, two[0] * z1 % _P
    s1, s2 = one[1] * z2 * two[2] % _P, two[1] * z1 * one[2] % _P
    if u1 == u2:
        return _double(one) if s1 == s2 else (1, 1, 0)
    h, r = (u2 - u1) % _P, (s2 - s1) % _P
    h2 = h * h % _P
    h3, v = h * h2 % _P, u1 * h2 % _P
    x = (r * r - h3 - 2 * v) % _P
    return x, (r * (v - x) - s1 * h3) % _P, h * one[2] * two[2] % _P
