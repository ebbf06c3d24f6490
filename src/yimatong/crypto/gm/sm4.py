"""SM4 block cipher (GB/T 32907-2016): single blocks (ECB) and authenticated encryption (GCM, RFC 8998).

Single blocks are for key derivation and for plaintexts that are one block and unique by construction; data of any
other kind is sealed with GCM.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB, GCM

from yimatong.crypto.errors import SealBroken

BLOCK_SIZE: Final = 16
KEY_SIZE: Final = 16
IV_SIZE: Final = 12
TAG_SIZE: Final = 16


def encrypt_blocks(key: bytes, blocks: bytes) -> bytes:
    """Return SM4-ECB of N x 16 bytes. ``ValueError`` for any other length."""
    encryptor = Cipher(SM4(key), ECB()).encryptor()  # noqa: S305 - one block at a time, see above
    return encryptor.update(blocks) + encryptor.finalize()


def decrypt_blocks(key: bytes, blocks: bytes) -> bytes:
    """Return the plaintext of N x 16 bytes of SM4-ECB. ``ValueError`` for any other length."""
    decryptor = Cipher(SM4(key), ECB()).decryptor()  # noqa: S305 - the same
    return decryptor.update(blocks) + decryptor.finalize()


class Gcm:
    """SM4-GCM under one key: 12-byte nonce given by the caller, 16-byte tag at the end of the ciphertext."""

    __slots__ = ("_algorithm",)

    def __init__(self, key: bytes) -> None:
        self._algorithm = SM4(key)

    def seal(self, iv: bytes, plain: bytes, aad: bytes) -> bytes:
        """Return ciphertext and tag. A nonce must never be used twice under one key."""
        encryptor = Cipher(self._algorithm, GCM(iv)).encryptor()
        encryptor.authenticate_additional_data(aad)
        return encryptor.update(plain) + encryptor.finalize() + encryptor.tag

    def unseal(self, iv: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Return the plaintext of :meth:`seal`.

        Raises:
            SealBroken: nonce, ciphertext, tag or ``aad`` is not what was sealed.
        """
        if len(sealed) < TAG_SIZE:
            raise SealBroken
        decryptor = Cipher(self._algorithm, GCM(iv, sealed[-TAG_SIZE:])).decryptor()
        decryptor.authenticate_additional_data(aad)
        plain = decryptor.update(sealed[:-TAG_SIZE])
        try:
            return plain + decryptor.finalize()
        except InvalidTag:
            raise SealBroken from None


def key_check_value(key: bytes) -> str:
    """Return the key check value (KCV): first 3 bytes of SM4-ECB(key, 16 zero bytes), 6 upper-case hex characters."""
    return encrypt_blocks(key, bytes(BLOCK_SIZE))[:3].hex().upper()
