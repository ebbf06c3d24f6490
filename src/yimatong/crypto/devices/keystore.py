"""The keystore file of the soft device: shapes, sealing, atomic writing. Knows nothing of what keys are for.

File: ``{"format": "YMT-KEYSTORE-1", "n", "r", "p", "salt", "iv", "sealed"}``; ``sealed`` is SM4-GCM over the JSON of
:class:`Contents` under scrypt(passphrase)[0:16] (RFC 7914), with every other field as additional data.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final, Self

import msgspec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from yimatong.crypto.devices.base import Component, KeyInfo, KeyState, KeyUsage
from yimatong.crypto.errors import KeystoreUnreadable, PassphraseWrong, SealBroken
from yimatong.crypto.gm import sm4

_FORMAT: Final = "YMT-KEYSTORE-1"
_SALT_SIZE: Final = 16
_COST: Final = 2**14  # about 50 ms and 16 MB; the largest that a small machine starts with quickly
_COST_LIMIT: Final = 2**20
_BLOCK: Final = 8
_LANES: Final = 1


class Key(msgspec.Struct):
    """One key version with its value: an SM4 key, or the private number of an SM2 pair; empty once destroyed."""

    usage: KeyUsage
    version: int
    state: KeyState
    kcv: str
    value: bytes

    @property
    def info(self) -> KeyInfo:
        """What may be known of it outside."""
        return KeyInfo(usage=self.usage, version=self.version, state=self.state, kcv=self.kcv)


class Staged(msgspec.Struct):
    """A component that waits for the others of its ceremony."""

    usage: KeyUsage
    component: Component


class Contents(msgspec.Struct):
    """Everything that is sealed. ``keys`` are ordered oldest first."""

    demonstration: bool = False
    cut_off: bool = False
    keys: list[Key] = []
    staged: list[Staged] = []
    transport: bytes = b""
    """Private number of the transport key pair; it belongs to this device and is in no backup."""


class _Header(msgspec.Struct, frozen=True):
    format: str
    n: int
    r: int
    p: int
    salt: bytes
    iv: bytes


class _File(_Header, frozen=True, forbid_unknown_fields=True):
    sealed: bytes


class Keystore:
    """One file and the key that opens it."""

    def __init__(self, path: Path, salt: bytes, passphrase: str, *, cost: int = _COST) -> None:
        self.path: Final = path
        self._salt = salt
        self._cost = cost
        key = Scrypt(salt=salt, length=sm4.KEY_SIZE, n=cost, r=_BLOCK, p=_LANES).derive(passphrase.encode())
        self._seal = sm4.Gcm(key)
        self._seen: tuple[int, int, int] | None = None

    @classmethod
    def new(cls, path: Path, passphrase: str) -> Self:
        """Prepare a keystore with a fresh salt; nothing is written yet."""
        return cls(path, secrets.token_bytes(_SALT_SIZE), passphrase)

    @classmethod
    def open(cls, path: Path, passphrase: str) -> tuple[Self, Contents]:
        """Read the file at ``path``.

        Raises:
            KeystoreUnreadable: missing or not in our format.
            PassphraseWrong: wrong passphrase or altered file.
        """
        mark, file = _read(path)
        keystore = cls(path, file.salt, passphrase, cost=file.n)
        contents = keystore._unseal(file)
        keystore._seen = mark
        return keystore, contents

    def reread(self, current: Contents) -> Contents:
        """Return ``current``, or what another process wrote since it was read; errors as :meth:`open`."""
        try:
            mark = _mark(self.path.stat())
        except OSError as error:
            raise KeystoreUnreadable(reason=error.strerror) from error
        if mark == self._seen:
            return current
        mark, file = _read(self.path)
        contents = self._unseal(file)
        self._seen = mark
        return contents

    def write(self, contents: Contents) -> None:
        """Replace the file in one step: written beside it, flushed, renamed; readable by the owner only."""
        header = _Header(
            format=_FORMAT, n=self._cost, r=_BLOCK, p=_LANES, salt=self._salt, iv=secrets.token_bytes(sm4.IV_SIZE)
        )
        sealed = self._seal.seal(header.iv, msgspec.json.encode(contents), msgspec.json.encode(header))
        file = _File(**msgspec.structs.asdict(header), sealed=sealed)
        beside = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(msgspec.json.encode(file))
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)
        _flush_folder(self.path.parent)
        self._seen = _mark(self.path.stat())

    def _unseal(self, file: _File) -> Contents:
        header = _Header(format=file.format, n=file.n, r=file.r, p=file.p, salt=file.salt, iv=file.iv)
        try:
            plain = self._seal.unseal(file.iv, file.sealed, msgspec.json.encode(header))
        except (SealBroken, ValueError):
            raise PassphraseWrong from None
        try:
            return msgspec.json.decode(plain, type=Contents)
        except msgspec.DecodeError as error:
            raise KeystoreUnreadable(reason="contents") from error


def _mark(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> tuple[tuple[int, int, int], _File]:
    try:
        with path.open("rb") as source:
            mark = _mark(os.fstat(source.fileno()))
            file = msgspec.json.decode(source.read(), type=_File)
    except OSError as error:
        raise KeystoreUnreadable(reason=error.strerror) from error
    except msgspec.DecodeError as error:
        raise KeystoreUnreadable(reason="format") from error
    if file.format != _FORMAT or not _COST <= file.n <= _COST_LIMIT or (file.r, file.p) != (_BLOCK, _LANES):
        raise KeystoreUnreadable(reason="format")
    return mark, file


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be opened (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
