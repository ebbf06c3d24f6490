"""What devices that keep their book of key versions in a keystore file have in common: everything but the keys.

The book says which versions there are, their states and key check values, and one ``value`` each that only the device
understands: the key itself (soft), or where it lies wrapped (sdf). The rules are those of :mod:`.versions` and
:mod:`.components`; every change is written under a lock beside the file, after reading what other processes wrote, and
every process sees a change at its next :meth:`KeyBook.key_versions`.
"""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import msgspec

from yimatong.crypto.devices import backups, components, versions
from yimatong.crypto.devices.base import BLOCK_USAGES, Component, KeyInfo, KeyState, KeyUsage
from yimatong.crypto.devices.keystore import Contents, Key, Keystore, Staged
from yimatong.crypto.errors import (
    ComponentMismatch,
    ComponentsIncomplete,
    DeviceUnavailable,
    ImportRefusedAfterCutOff,
    KeyDisabled,
    KeyNotFound,
)

if sys.platform != "win32":
    import fcntl


class KeyBook(ABC):
    """The part of :class:`~yimatong.crypto.devices.base.CryptoDevice` that is the same for every book in a file."""

    name: ClassVar[str]
    inline: ClassVar[bool]

    def __init__(self, keystore: Keystore, contents: Contents) -> None:
        self._keystore = keystore
        self._contents = contents
        self._lock = threading.RLock()

    # -- what a device does its own way --------------------------------------------------------------------------------

    @abstractmethod
    def _make(self, usage: KeyUsage) -> tuple[bytes, str]:
        """Make a new key; return its value for the book and its KCV."""

    @abstractmethod
    def _take(self, key: bytes) -> tuple[bytes, str]:
        """Take an SM4 key that custodians brought; return its value for the book and its KCV."""

    @abstractmethod
    def _unwrap(self, wrapped: bytes) -> tuple[bytes, str]:
        """Take an SM4 key wrapped under the transport key; return its value and its KCV.

        Raises:
            ComponentMismatch: it does not unwrap.
        """

    @abstractmethod
    def _check_restored(self, keys: Sequence[Key]) -> None:
        """Look at the versions that a backup brings; raises ``BackupRefused``."""

    @abstractmethod
    def _renewed(self) -> None:
        """Note that the book has changed."""

    # -- the same for all ----------------------------------------------------------------------------------------------

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
        return [key.info for key in reversed(self._newest().keys) if key.usage == usage]

    def generate(self, usage: KeyUsage, *, version: int | None = None) -> KeyInfo:
        """Make a new key; see the protocol."""
        with self._change() as contents:
            versions.next_version(contents.keys, usage, version)
            return add(contents, usage, *self._make(usage), version)

    def rotate(self, usage: KeyUsage) -> KeyInfo:
        """Make a new version and activate it in one go; the old one stays enabled.

        Raises:
            KeyNotFound: there is nothing to rotate yet.
        """
        with self._change() as contents:
            if not any(key.usage == usage for key in contents.keys):
                raise KeyNotFound(usage=usage.value, version=1)
            made = add(contents, usage, *self._make(usage), None)
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
                key = components.combine([*taken, component])
                return add(contents, usage, *self._take(key), None)
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

    def import_wrapped(self, usage: KeyUsage, wrapped: bytes, kcv: str, *, version: int | None = None) -> KeyInfo:
        """Take an SM4 key wrapped under the transport key; see the protocol."""
        with self._change() as contents:
            if contents.cut_off:
                raise ImportRefusedAfterCutOff
            components.check_importable(usage)
            versions.next_version(contents.keys, usage, version)
            value, found = self._unwrap(wrapped)
            if found != kcv.upper():
                raise ComponentMismatch(what="key")
            return add(contents, usage, value, found, version)

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
        """Return the book, sealed under what the components make; see the protocol."""
        return backups.seal(components.combine(given), self._newest())

    def restore(self, backup: bytes, given: Sequence[Component]) -> None:
        """Take what this device does not hold and undo nothing that it knows; see the protocol."""
        other = backups.unseal(components.combine(given), backup)
        with self._change() as contents:
            if contents.cut_off:
                raise ImportRefusedAfterCutOff
            known = {(key.usage, key.version) for key in contents.keys}
            brought = [key for key in other.keys if (key.usage, key.version) not in known]
            contents.keys = versions.merge(contents.keys, other.keys)
            for key in contents.keys:
                if key.state is KeyState.DESTROYED:
                    key.value = b""
            self._check_restored([key for key in brought if key.state is not KeyState.DESTROYED])
            contents.cut_off = other.cut_off
            contents.demonstration = contents.demonstration or other.demonstration

    def cut_off(self) -> None:
        """Refuse every import from now on, in every process, for good; half-done ceremonies are dropped."""
        with self._change() as contents:
            contents.cut_off = True
            contents.staged.clear()

    def _newest(self) -> Contents:
        with self._lock:
            before, self._contents = self._contents, self._keystore.reread(self._contents)
            newest = self._contents
        if newest is not before:
            self._renewed()
        return newest

    def _block_key(self, usage: KeyUsage, version: int) -> Key:
        if usage not in BLOCK_USAGES:
            message = f"a {usage.value} key encrypts no blocks"
            raise ValueError(message)
        return versions.find(self._contents.keys, usage, version)

    def _live_signing_key(self, version: int) -> Key:
        key = versions.find(self._newest().keys, KeyUsage.SIGNING, version)
        if not key.info.live:
            raise KeyDisabled(usage=KeyUsage.SIGNING.value, version=version)
        return key

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
        self._renewed()


def _copy(contents: Contents) -> Contents:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(contents), type=Contents)


def add(contents: Contents, usage: KeyUsage, value: bytes, kcv: str, wanted: int | None) -> KeyInfo:
    """Enter a new version: active if it is the first, else ready. Raises ``VersionNotNext``."""
    key = Key(
        usage=usage,
        version=versions.next_version(contents.keys, usage, wanted),
        state=versions.state_of_new(contents.keys, usage),
        kcv=kcv,
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
