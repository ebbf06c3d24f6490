"""Personal data at rest: one SM4-GCM blob a row.

Blob: format ``01`` | data key version 1 byte | nonce 12 | ciphertext | tag 16; 30 bytes more than the plaintext.
The two leading bytes are authenticated too. ``aad`` ties a blob to its place (table, column, row key), so that it
does not open in another row. Nonces are random: one key version seals at most 2**32 rows (NIST SP 800-38D 8.3),
then rotate.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from yimatong.crypto.errors import SealBroken
from yimatong.crypto.gm.sm4 import IV_SIZE, TAG_SIZE, Gcm

FORMAT: Final = 1
_HEAD: Final = 2
_BODY: Final = _HEAD + IV_SIZE
OVERHEAD: Final = _BODY + TAG_SIZE


class Sealer:
    """Seals under the active data key and opens what any kept version sealed."""

    __slots__ = ("_active", "_ciphers", "_head", "active")

    def __init__(self, keys: Mapping[int, bytes], active: int) -> None:
        self._ciphers = {version: Gcm(key) for version, key in keys.items()}
        self._active = self._ciphers[active]
        self._head = bytes((FORMAT, active))
        self.active = active

    @property
    def older(self) -> list[int]:
        """Return the kept versions that are not the active one."""
        return sorted(version for version in self._ciphers if version != self.active)

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Return the blob for ``plain``, tied to ``aad``."""
        iv = os.urandom(IV_SIZE)
        return self._head + iv + self._active.seal(iv, plain, self._head + aad)

    def unseal(self, blob: bytes, aad: bytes) -> bytes:
        """Return the plaintext of ``blob``.

        Raises:
            SealBroken: altered, cut, sealed with another ``aad``, or its key version is gone.
        """
        if len(blob) < OVERHEAD or blob[0] != FORMAT:
            raise SealBroken
        cipher = self._ciphers.get(blob[1])
        if cipher is None:
            raise SealBroken
        return cipher.unseal(blob[_HEAD:_BODY], blob[_BODY:], blob[:_HEAD] + aad)

    def is_current(self, blob: bytes) -> bool:
        """Say whether ``blob`` is sealed under the active key version (if not, a job may seal it anew)."""
        return blob[:_HEAD] == self._head
