"""The soft device: keys in this process, at rest in a keystore file sealed under a passphrase.

The default for a laptop, a pilot and the tests. The file is JSON: a clear header (scrypt parameters and salt, RFC 7914)
and the contents under SM4-GCM, the header being authenticated with them. Every change is written to a new file,
flushed and renamed (mode 0600), under a lock beside it, after reading what other processes wrote; every process sees
a change at its next :meth:`SoftDevice.key_versions`.

What it cannot do: keep an older copy of the file from being put back. The platform's ledger notices
(``access.ceremony``); preventing it needs hardware.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import msgspec

from yimatong.crypto.devices import backups, components, versions
from yimatong.crypto.devices.base import BLOCK_USAGES, Component, KeyInfo, KeyState, KeyUsage
from yimatong.crypto.devices.keystore import Contents, Key, Keystore, Staged
from yimatong.crypto.errors import (
    ComponentMismatch,
    ComponentsIncomplete,
    DemonstrationKeysInProduction,
    DeviceUnavailable,
    ImportRefusedAfterCutOff,
    KeyDisabled,
    KeyNotFound,
    KeystoreExists,
)
from yimatong.crypto.gm import sm2, sm4

if sys.platform != "win32":
    import fcntl


class SoftDevice:
    """A :class:`~yimatong.crypto.devices.base.CryptoDevice` in software. Make one with :meth:`open` or ``create``."""

    name: Final = "soft"
    inline: Final = True

    def __init__(self, keystore: Keystore, contents: Contents) -> None:
        self._keystore = keystore
        self._contents = contents
        self._lock = threading.RLock()

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
            _add(contents, usage, _random(usage), 1)
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
        return cls(keystore, contents)

    @property
    def demonstration(self) -> bool:
        """Whether the keys are for demonstration only."""
        return self._contents.demonstration

    @property
    def is_cut_off(self) -> bool:
        """Whether every import is refused."""
        return self._contents.cut_off

    def key_versions(self, usage: KeyUsage) -> Sequence[KeyInfo]:
        """Return every version, newest first; sees what other processes changed (one ``stat`` a call)."""
        with self._lock:
            self._contents = self._keystore.reread(self._contents)
        return [key.info for key in reversed(self._contents.keys) if key.usage == usage]

    def encrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Return SM4-ECB of N x 16 bytes; see the protocol."""
        return sm4.encrypt_blocks(self._sm4_key(usage, version), blocks)

    def decrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Reverse :meth:`encrypt_blocks`."""
        return sm4.decrypt_blocks(self._sm4_key(usage, version), blocks)

    def sign(self, version: int, digest: bytes) -> bytes:
        """Return r || s over a digest of 32 bytes; see the protocol."""
        self.key_versions(KeyUsage.SIGNING)
        key = versions.find(self._contents.keys, KeyUsage.SIGNING, version)
        if not key.info.live:
            raise KeyDisabled(usage=KeyUsage.SIGNING.value, version=version)
        return sm2.sign_digest(key.value, digest)

    def public_key(self, version: int) -> bytes:
        """Return 04 || x || y of a signing version."""
        return sm2.public_key(versions.find(self._contents.keys, KeyUsage.SIGNING, version).value)

    def generate(self, usage: KeyUsage, *, version: int | None = None) -> KeyInfo:
        """Make a new key from the system's random source; see the protocol."""
        with self._change() as contents:
            return _add(contents, usage, _random(usage), version)

    def rotate(self, usage: KeyUsage) -> KeyInfo:
        """Make a new version and activate it in one go; the old one stays enabled.

        Raises:
            KeyNotFound: there is nothing to rotate yet.
        """
        with self._change() as contents:
            if not any(key.usage == usage for key in contents.keys):
                raise KeyNotFound(usage=usage.value, version=1)
            made = _add(contents, usage, _random(usage), None)
            return versions.activate(contents.keys, usage, made.version).info

    def import_component(self, usage: KeyUsage, component: Component) -> KeyInfo | None:
        """Take one component of a ceremony; the last one makes the key; see the protocol."""
        with self._change() as contents:
            if contents.cut_off:
                raise ImportRefusedAfterCutOff
            components.check_importable(usage)
            components.check(component)
            staged = [item for item in contents.staged if item.component.ceremony == component.ceremony]
            if any(item.usage != usage for item in staged):
                raise ComponentsIncomplete(detail="the first component was for another usage")
            taken = [item.component for item in staged]
            components.check_fits(component, taken)
            if len(taken) + 1 < component.parts:
                contents.staged.append(Staged(usage=usage, component=component))
                return None
            contents.staged[:] = [s for s in contents.staged if s.component.ceremony != component.ceremony]
            try:
                return _add(contents, usage, components.combine([*taken, component]), None)
            except ComponentMismatch as error:
                mismatch = error
        raise mismatch  # after the change: the dropped ceremony stays dropped

    def import_components(self, usage: KeyUsage, given: Sequence[Component]) -> KeyInfo:
        """Take all components of one ceremony at once.

        Raises:
            ComponentsIncomplete: fewer were given than announced. Other errors as ``import_component``.
        """
        info: KeyInfo | None = None
        for component in given:
            info = self.import_component(usage, component)
        if info is None:
            raise ComponentsIncomplete(detail="parts missing")
        return info

    def abandon_ceremony(self, ceremony: str) -> None:
        """Drop the components taken so far for ``ceremony``."""
        with self._change() as contents:
            contents.staged[:] = [item for item in contents.staged if item.component.ceremony != ceremony]

    def transport_public_key(self) -> bytes:
        """Return the transport public key; the pair is made when it is asked for first."""
        if not self._contents.transport:
            with self._change() as contents:
                contents.transport = contents.transport or sm2.generate_keypair()[0]
        return sm2.public_key(self._contents.transport)

    def import_wrapped(self, usage: KeyUsage, wrapped: bytes, kcv: str, *, version: int | None = None) -> KeyInfo:
        """Take an SM4 key wrapped under the transport key; see the protocol."""
        with self._change() as contents:
            if contents.cut_off:
                raise ImportRefusedAfterCutOff
            components.check_importable(usage)
            try:
                value = sm2.decrypt(contents.transport, wrapped)
            except ValueError:
                raise ComponentMismatch(what="wrapped key") from None
            if len(value) != sm4.KEY_SIZE or sm4.key_check_value(value) != kcv.upper():
                raise ComponentMismatch(what="key")
            return _add(contents, usage, value, version)

    def activate(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Make a ready version the active one; see the protocol."""
        with self._change() as contents:
            return versions.activate(contents.keys, usage, version).info

    def switch_off(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Disable a version that is not active; see the protocol."""
        with self._change() as contents:
            return versions.switch(contents.keys, usage, version, KeyState.DISABLED).info

    def switch_on(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Enable a disabled version again; the same errors."""
        with self._change() as contents:
            return versions.switch(contents.keys, usage, version, KeyState.ENABLED).info

    def destroy(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Overwrite a version that is not active; see the protocol."""
        with self._change() as contents:
            key = versions.destroy(contents.keys, usage, version)
            key.value = b""
            return key.info

    def backup(self, given: Sequence[Component]) -> bytes:
        """Return everything but the transport key, sealed under what the components make; see the protocol."""
        key = components.combine(given)
        with self._lock:
            self._contents = self._keystore.reread(self._contents)
            return backups.seal(key, self._contents)

    def restore(self, backup: bytes, given: Sequence[Component]) -> None:
        """Take what this device does not hold and undo nothing that it knows; see the protocol."""
        other = backups.unseal(components.combine(given), backup)
        with self._change() as contents:
            if contents.cut_off:
                raise ImportRefusedAfterCutOff
            contents.keys = versions.merge(contents.keys, other.keys)
            for key in contents.keys:
                if key.state is KeyState.DESTROYED:
                    key.value = b""
            contents.cut_off = other.cut_off
            contents.demonstration = contents.demonstration or other.demonstration

    def cut_off(self) -> None:
        """Refuse every import from now on, in every process, for good; half-done ceremonies are dropped."""
        with self._change() as contents:
            contents.cut_off = True
            contents.staged.clear()

    def _sm4_key(self, usage: KeyUsage, version: int) -> bytes:
        if usage not in BLOCK_USAGES:
            message = f"a {usage.value} key encrypts no blocks"
            raise ValueError(message)
        return versions.find(self._contents.keys, usage, version).value

    @contextmanager
    def _change(self) -> Iterator[Contents]:
        """Yield a copy of the newest contents; write it when the block ends well."""
        try:
            with self._lock, _file_lock(self._keystore.path):
                self._contents = self._keystore.reread(self._contents)
                changed = _copy(self._contents)
                yield changed
                self._keystore.write(changed)
                self._contents = changed
        except OSError as error:
            raise DeviceUnavailable(audit=str(error), device=self.name) from error


def _copy(contents: Contents) -> Contents:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(contents), type=Contents)


def _random(usage: KeyUsage) -> bytes:
    return secrets.token_bytes(sm4.KEY_SIZE) if usage in BLOCK_USAGES else sm2.generate_keypair()[0]


def _add(contents: Contents, usage: KeyUsage, value: bytes, wanted: int | None) -> KeyInfo:
    key = Key(
        usage=usage,
        version=versions.next_version(contents.keys, usage, wanted),
        state=versions.state_of_new(contents.keys, usage),
        kcv=sm4.key_check_value(value) if usage in BLOCK_USAGES else sm2.key_check_value(sm2.public_key(value)),
        value=value,
    )
    contents.keys.append(key)
    return key.info


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Hold an advisory lock beside ``path``; on Windows the thread lock has to do (one process)."""
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
