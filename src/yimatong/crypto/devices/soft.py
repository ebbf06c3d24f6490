"""The soft device: keys in this process, at rest in a keystore file sealed under a passphrase.

The default for a laptop, a pilot and the tests. The file is JSON: a clear header (scrypt parameters and salt, RFC 7914)
and the contents under SM4-GCM, the header being authenticated with them. Every change is written to a new file,
flushed and renamed (mode 0600), under a lock beside it, after reading what other processes wrote; every process sees
a change at its next :meth:`SoftDevice.key_versions`.

What it cannot do: keep an older copy of the file from being put back. The platform's ledger notices
(``access.ceremony``); preventing it needs hardware.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from yimatong.crypto.devices import versions
from yimatong.crypto.devices.base import BLOCK_USAGES, KeyUsage
from yimatong.crypto.devices.keybook import KeyBook, add
from yimatong.crypto.devices.keystore import Contents, Key, Keystore
from yimatong.crypto.errors import ComponentMismatch, DemonstrationKeysInProduction, KeystoreExists, KeystoreUnreadable
from yimatong.crypto.gm import sm2, sm4


class SoftDevice(KeyBook):
    """A :class:`~yimatong.crypto.devices.base.CryptoDevice` in software. Make one with :meth:`open` or ``create``."""

    name = "soft"
    inline = True

    @classmethod
    def create(cls, path: Path, passphrase: str) -> Self:
        """Make an empty keystore at ``path`` and open it. Keys come by ceremony or :meth:`generate`.

        Raises:
            KeystoreExists: there is a file already.
        """
        return cls._create(path, passphrase, Contents())

    @classmethod
    def create_demonstration(cls, path: Path, passphrase: str) -> Self:
        """Make a keystore with one generated version of each usage, marked so that production refuses it.

        Raises:
            KeystoreExists: there is a file already.
        """
        contents = Contents(demonstration=True)
        for usage in KeyUsage:
            add(contents, usage, *_made(usage), 1)
        return cls._create(path, passphrase, contents)

    @classmethod
    def _create(cls, path: Path, passphrase: str, contents: Contents) -> Self:
        if path.exists():
            raise KeystoreExists
        keystore = Keystore.new(path, passphrase)
        keystore.write(contents)
        return cls(keystore, contents)

    @classmethod
    def open(cls, path: Path, passphrase: str, *, production: bool) -> Self:
        """Open the keystore at ``path``.

        Raises:
            KeystoreUnreadable: missing or not in our format.
            PassphraseWrong: wrong passphrase or altered file.
            DemonstrationKeysInProduction: ``production`` and the keys are for demonstration.
        """
        keystore, contents = Keystore.open(path, passphrase)
        if production and contents.demonstration:
            raise DemonstrationKeysInProduction
        if any(len(key.value) not in {0, sm4.KEY_SIZE, sm2.PRIVATE_SIZE} for key in contents.keys):
            raise KeystoreUnreadable(reason="a book of crypto machines, not a keystore of the soft device")
        return cls(keystore, contents)

    def encrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Return SM4-ECB of N x 16 bytes; see the protocol."""
        return sm4.encrypt_blocks(self._block_key(usage, version).value, blocks)

    def decrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Reverse :meth:`encrypt_blocks`."""
        return sm4.decrypt_blocks(self._block_key(usage, version).value, blocks)

    def sign(self, version: int, digest: bytes) -> bytes:
        """Return r || s over a digest of 32 bytes; see the protocol."""
        return sm2.sign_digest(self._live_signing_key(version).value, digest)

    def public_key(self, version: int) -> bytes:
        """Return 04 || x || y of a signing version."""
        return sm2.public_key(versions.find(self._newest().keys, KeyUsage.SIGNING, version).value)

    def transport_public_key(self) -> bytes:
        """Return the transport public key; the pair is made when it is asked for first."""
        if not self._contents.transport:
            with self._change() as contents:
                contents.transport = contents.transport or sm2.generate_keypair()[0]
        return sm2.public_key(self._contents.transport)

    def _make(self, usage: KeyUsage) -> tuple[bytes, str]:
        return _made(usage)

    def _take(self, key: bytes) -> tuple[bytes, str]:
        return key, sm4.key_check_value(key)

    def _unwrap(self, wrapped: bytes) -> tuple[bytes, str]:
        try:
            value = sm2.decrypt(self._contents.transport, wrapped)
        except ValueError:
            raise ComponentMismatch(what="wrapped key") from None
        if len(value) != sm4.KEY_SIZE:
            raise ComponentMismatch(what="key")
        return value, sm4.key_check_value(value)

    def _check_restored(self, keys: Sequence[Key]) -> None:
        """Whatever opened under the custodians' key is what was sealed."""

    def _renewed(self) -> None:
        """Nothing is kept outside the book."""


def _made(usage: KeyUsage) -> tuple[bytes, str]:
    if usage in BLOCK_USAGES:
        value = secrets.token_bytes(sm4.KEY_SIZE)
        return value, sm4.key_check_value(value)
    value = sm2.generate_keypair()[0]
    return value, sm2.key_check_value(sm2.public_key(value))
