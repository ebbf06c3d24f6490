"""The soft device: keys in this process, at rest in a keystore file sealed under a passphrase.

The default for a laptop, a pilot and the tests. The file is JSON: a clear header (scrypt parameters and salt, RFC 7914)
and the contents under SM4-GCM, the header being authenticated with them. Every change is written to a new file,
flushed and renamed (mode 0600), under a lock beside it, after reading what other processes wrote; every process sees
a change at its next :meth:`SoftDevice.key_versions`.

What it cannot do: keep an older copy of the file from being put back. That needs hardware.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Final, Self

import msgspec

from yimatong.crypto.devices.base import Component, KeyInfo, KeyState, KeyUsage
from yimatong.crypto.devices.keystore import Contents, Key, Keystore, Staged
from yimatong.crypto.errors import (
    ActiveKeyInUse,
    ComponentMismatch,
    ComponentsIncomplete,
    DemonstrationKeysInProduction,
    DeviceUnavailable,
    ImportRefusedAfterCutOff,
    KeyNotFound,
    KeystoreExists,
)
from yimatong.crypto.gm import sm4

if sys.platform != "win32":
    import fcntl

_PARTS: Final = range(2, 6)
_LAST_VERSION: Final = 255  # versions travel as one byte


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
        keys = [_new_key(usage, 1, secrets.token_bytes(sm4.KEY_SIZE)) for usage in KeyUsage]
        return cls._create(path, passphrase, Contents(demonstration=True, keys=keys))

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
        """Return SM4-ECB of N x 16 bytes; raises ``KeyNotFound``."""
        return sm4.encrypt_blocks(self._key(usage, version).value, blocks)

    def decrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Reverse :meth:`encrypt_blocks`; raises ``KeyNotFound``."""
        return sm4.decrypt_blocks(self._key(usage, version).value, blocks)

    def generate(self, usage: KeyUsage) -> KeyInfo:
        """Make a new key from the system's random source, inside the device, and make it the active version.

        Allowed after the cut-off: nothing is imported.
        """
        with self._change() as contents:
            return _activate(contents, usage, secrets.token_bytes(sm4.KEY_SIZE))

    def rotate(self, usage: KeyUsage) -> KeyInfo:
        """Replace the active version by a generated one; the old one stays enabled.

        Raises:
            KeyNotFound: there is nothing to rotate yet.
        """
        self._active(usage)
        return self.generate(usage)

    def import_component(self, usage: KeyUsage, component: Component) -> KeyInfo | None:
        """Take one component of a ceremony; the last one activates the key. See the protocol for errors."""
        with self._change() as contents:
            if contents.cut_off:
                raise ImportRefusedAfterCutOff
            _check_component(component)
            staged = [item for item in contents.staged if item.component.ceremony == component.ceremony]
            _check_fits(usage, component, staged)
            contents.staged.append(Staged(usage=usage, component=component))
            if len(staged) + 1 < component.parts:
                return None
            contents.staged[:] = [s for s in contents.staged if s.component.ceremony != component.ceremony]
            value = _xor([*(item.component.value for item in staged), component.value])
            matches = sm4.key_check_value(value) == component.key_kcv.upper()
            info = _activate(contents, usage, value) if matches else None
        if info is None:  # raised after the change: the dropped ceremony stays dropped
            raise ComponentMismatch(what="key")
        return info

    def import_components(self, usage: KeyUsage, components: Sequence[Component]) -> KeyInfo:
        """Take all components of one ceremony at once.

        Raises:
            ComponentsIncomplete: fewer were given than announced. Other errors as ``import_component``.
        """
        info: KeyInfo | None = None
        for component in components:
            info = self.import_component(usage, component)
        if info is None:
            raise ComponentsIncomplete(detail="parts missing")
        return info

    def abandon_ceremony(self, ceremony: str) -> None:
        """Drop the components taken so far for ``ceremony``.

        Raises:
            ComponentsIncomplete: there are none.
        """
        with self._change() as contents:
            kept = [item for item in contents.staged if item.component.ceremony != ceremony]
            if len(kept) == len(contents.staged):
                raise ComponentsIncomplete(detail="no such ceremony")
            contents.staged[:] = kept

    def switch_off(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Disable an enabled version: its codes stop verifying, data sealed under it still opens.

        Raises:
            KeyNotFound: no such version.
            ActiveKeyInUse: it is the active one; rotate first.
        """
        return self._set_state(usage, version, KeyState.DISABLED)

    def switch_on(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Enable a disabled version again; the same errors."""
        return self._set_state(usage, version, KeyState.ENABLED)

    def destroy(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Overwrite a version that is not active. Whatever was sealed or derived under it is lost.

        Raises:
            KeyNotFound: no such version.
            ActiveKeyInUse: it is the active one; rotate first.
        """
        return self._set_state(usage, version, KeyState.DESTROYED)

    def cut_off(self) -> None:
        """Refuse every import from now on, in every process, for good; half-done ceremonies are dropped."""
        with self._change() as contents:
            contents.cut_off = True
            contents.staged.clear()

    def _set_state(self, usage: KeyUsage, version: int, state: KeyState) -> KeyInfo:
        with self._change() as contents:
            key = _find(contents, usage, version)
            if key.state is KeyState.ACTIVE:
                raise ActiveKeyInUse(usage=usage.value, version=version)
            key.state = state
            if state is KeyState.DESTROYED:
                key.value = b""
            return key.info

    def _active(self, usage: KeyUsage) -> KeyInfo:
        for info in self.key_versions(usage):
            if info.state is KeyState.ACTIVE:
                return info
        raise KeyNotFound(usage=usage.value, version=1)

    def _key(self, usage: KeyUsage, version: int) -> Key:
        return _find(self._contents, usage, version)

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


def _find(contents: Contents, usage: KeyUsage, version: int) -> Key:
    for key in contents.keys:
        if key.version == version and key.usage == usage and key.state is not KeyState.DESTROYED:
            return key
    raise KeyNotFound(usage=usage.value, version=version)


def _new_key(usage: KeyUsage, version: int, value: bytes) -> Key:
    return Key(usage=usage, version=version, state=KeyState.ACTIVE, kcv=sm4.key_check_value(value), value=value)


def _activate(contents: Contents, usage: KeyUsage, value: bytes) -> KeyInfo:
    siblings = [key for key in contents.keys if key.usage == usage]
    version = max((key.version for key in siblings), default=0) + 1
    if version > _LAST_VERSION:
        raise ComponentsIncomplete(detail="255 versions used up")
    for key in siblings:
        if key.state is KeyState.ACTIVE:
            key.state = KeyState.ENABLED
    key = _new_key(usage, version, value)
    contents.keys.append(key)
    return key.info


def _check_component(component: Component) -> None:
    if component.parts not in _PARTS or not 1 <= component.part <= component.parts:
        raise ComponentsIncomplete(detail="a ceremony has 2 to 5 parts")
    if len(component.value) != sm4.KEY_SIZE:
        raise ComponentMismatch(what="length")
    if sm4.key_check_value(component.value) != component.kcv.upper():
        raise ComponentMismatch(what=f"part {component.part}")


def _check_fits(usage: KeyUsage, component: Component, staged: Sequence[Staged]) -> None:
    announced = (usage, component.parts, component.key_kcv)
    if any((item.usage, item.component.parts, item.component.key_kcv) != announced for item in staged):
        raise ComponentsIncomplete(detail="usage, number of parts or key check value differ from the first component")
    if any(item.component.part == component.part for item in staged):
        raise ComponentsIncomplete(detail=f"part {component.part} was taken before")


def _xor(values: Sequence[bytes]) -> bytes:
    combined = reduce(lambda a, b: a ^ b, (int.from_bytes(value, "big") for value in values))
    return combined.to_bytes(sm4.KEY_SIZE, "big")


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
