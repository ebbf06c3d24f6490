"""SM3 digests (GB/T 32905-2016) and HMAC-SM3 (GB/T 15852.2, RFC 2104)."""

from __future__ import annotations

import hmac as _hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from yimatong.crypto.errors import SignatureInvalid

DIGEST_SIZE: Final = 32
_EMPTY: Final = hashes.Hash(hashes.SM3())


def sm3(data: bytes) -> bytes:
    """Return the 32-byte SM3 digest of ``data``."""
    state = _EMPTY.copy()  # copying an empty state is cheaper than building one
    state.update(data)
    return state.finalize()


class HmacSm3:
    """HMAC-SM3 under one key; the key schedule is computed once."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = HMAC(key, hashes.SM3())

    def digest(self, data: bytes) -> bytes:
        """Return the 32-byte authentication code of ``data``."""
        state = self._keyed.copy()
        state.update(data)
        return state.finalize()

    def verify(self, data: bytes, code: bytes) -> None:
        """Compare in constant time.

        Raises:
            SignatureInvalid: ``code`` is not the authentication code of ``data``.
        """
        if not _hmac.compare_digest(self.digest(data), code):
            raise SignatureInvalid


def hmac_sm3(key: bytes, data: bytes) -> bytes:
    """Return the 32-byte HMAC-SM3 of ``data`` under ``key``."""
    return HmacSm3(key).digest(data)


class Sm3:
    """An SM3 digest that is fed piece by piece."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = _EMPTY.copy()

    def update(self, data: bytes) -> None:
        """Feed more."""
        self._state.update(data)

    def digest(self) -> bytes:
        """Return the 32-byte digest of everything fed so far."""
        return self._state.copy().finalize()
