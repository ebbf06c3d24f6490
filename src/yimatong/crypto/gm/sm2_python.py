"""SM2 in pure Python by gmalg: the fall-back where no libcrypto with SM2 is found, and the oracle of the tests."""

from __future__ import annotations

import secrets
from importlib.metadata import version
from typing import Final

import gmalg
import gmalg.errors

_POINT: Final = 65
_RAW: Final = 4
_HEAD: Final = _POINT + 32
_ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123


class PythonEngine:
    """See :class:`yimatong.crypto.gm.sm2.Engine`."""

    @property
    def name(self) -> str:
        """``gmalg`` and its version."""
        return f"gmalg {version('gmalg')}"

    def generate(self) -> bytes:
        """Return a fresh private key."""
        private: bytes = gmalg.SM2().generate_keypair()[0]
        return private.rjust(32, b"\0")

    def public_key(self, private: bytes) -> bytes:
        """Return 04 || x || y."""
        _check_range(private)
        public: bytes = gmalg.SM2().generate_pk(private)
        return public

    def sign(self, private: bytes, message: bytes, signer_id: bytes) -> bytes:
        """Return r || s."""
        _check_range(private)
        r, s = gmalg.SM2(private, signer_id).sign(message)
        return bytes(r.rjust(32, b"\0") + s.rjust(32, b"\0"))

    def sign_digest(self, private: bytes, digest: bytes) -> bytes:
        """Return r || s over the digest itself (GB/T 32918.2 clause 6.1, steps A3 to A7)."""
        _check_range(private)
        number, e = int.from_bytes(private, "big"), int.from_bytes(digest, "big")
        while True:
            k = secrets.randbelow(_ORDER - 1) + 1
            point = gmalg.SM2().generate_pk(k.to_bytes(32, "big"))
            r = (e + int.from_bytes(point[1:33], "big")) % _ORDER
            s = pow(1 + number, -1, _ORDER) * (k - r * number) % _ORDER
            if r and s and r + k != _ORDER:
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def is_valid(self, public: bytes, message: bytes, signature: bytes, signer_id: bytes) -> bool:
        """Say whether the signature fits."""
        _check_point(public)
        r, s = signature[:32], signature[32:]
        if not (_in_range(r) and _in_range(s)):
            return False
        return bool(gmalg.SM2(uid=signer_id, pk=public).verify(message, r, s))


def encrypt(public: bytes, plain: bytes) -> bytes:
    """Return C1 || C3 || C2 (GB/T 32918.4-2016 clause 6); ``ValueError`` when ``public`` is no point of the curve."""
    _check_point(public)
    sealed: bytes = gmalg.SM2(pk=public).encrypt(plain)
    return sealed


def decrypt(private: bytes, sealed: bytes) -> bytes:
    """Return the plaintext (clause 7); ``ValueError`` for anything that was not encrypted to this key."""
    _check_range(private)
    if len(sealed) <= _HEAD:
        problem = "shorter than an SM2 ciphertext"
        raise ValueError(problem)
    _check_point(sealed[:_POINT])
    try:
        plain: bytes = gmalg.SM2(private).decrypt(sealed)
    except gmalg.errors.GMError as error:
        problem = "not encrypted to this key, or altered"
        raise ValueError(problem) from error
    return plain


def _check_point(public: bytes) -> None:
    try:
        on_curve = len(public) == _POINT and public[0] == _RAW and gmalg.SM2().verify_pk(public)
    except gmalg.errors.GMError:
        on_curve = False
    if not on_curve:
        problem = "not a point of the SM2 curve"
        raise ValueError(problem)


def _in_range(number: bytes) -> bool:
    return 0 < int.from_bytes(number, "big") < _ORDER


def _check_range(private: bytes) -> None:
    # n - 1 is excluded as well: signing divides by 1 + d (GB/T 32918.2 clause 6.1)
    if not 0 < int.from_bytes(private, "big") < _ORDER - 1:
        problem = "SM2 private key out of range"
        raise ValueError(problem)
