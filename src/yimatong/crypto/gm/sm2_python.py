"""SM2 in pure Python by gmalg: the fall-back where no libcrypto with SM2 is found, and the oracle of the tests."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

import gmalg
import gmalg.errors

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

    def is_valid(self, public: bytes, message: bytes, signature: bytes, signer_id: bytes) -> bool:
        """Say whether the signature fits."""
        verifier = gmalg.SM2()
        try:
            on_curve = verifier.verify_pk(public)
        except gmalg.errors.Error:
            on_curve = False
        if not on_curve:
            problem = "not a point of the SM2 curve"
            raise ValueError(problem)
        r, s = signature[:32], signature[32:]
        if not (_in_range(r) and _in_range(s)):
            return False
        return bool(gmalg.SM2(uid=signer_id, pk=public).verify(message, r, s))


def _in_range(number: bytes) -> bool:
    return 0 < int.from_bytes(number, "big") < _ORDER


def _check_range(private: bytes) -> None:
    # n - 1 is excluded as well: signing divides by 1 + d (GB/T 32918.2 clause 6.1)
    if not 0 < int.from_bytes(private, "big") < _ORDER - 1:
        problem = "SM2 private key out of range"
        raise ValueError(problem)
