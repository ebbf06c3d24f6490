"""The life of key versions as every device keeps it: pure rules over records that have usage, version, state and KCV.

A device that keeps its book in a file, in slots of a card or in memory applies these and stores what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from yimatong.crypto.devices.base import VERSIONS, KeyState, KeyUsage
from yimatong.crypto.errors import ActivationRefused, ActiveKeyInUse, BackupRefused, KeyNotFound, VersionNotNext


class Record(Protocol):
    """One version in a device's book."""

    usage: KeyUsage
    version: int
    state: KeyState
    kcv: str


R = TypeVar("R", bound=Record)

_FINALITY: Final = [KeyState.READY, KeyState.ACTIVE, KeyState.ENABLED, KeyState.DISABLED, KeyState.DESTROYED]


def find(records: Iterable[R], usage: KeyUsage, version: int) -> R:
    """Return the record of a version that is not destroyed; raises ``KeyNotFound``."""
    for record in records:
        if record.version == version and record.usage == usage and record.state is not KeyState.DESTROYED:
            return record
    raise KeyNotFound(usage=usage.value, version=version)


def next_version(records: Iterable[Record], usage: KeyUsage, wanted: int | None) -> int:
    """Return the number of the version to be made.

    Raises:
        VersionNotNext: it is not ``wanted``, or there is none left.
    """
    version = max((record.version for record in records if record.usage == usage), default=0) + 1
    if version not in VERSIONS or wanted not in {None, version}:
        raise VersionNotNext(usage=usage.value, version=version)
    return version


def state_of_new(records: Iterable[Record], usage: KeyUsage) -> KeyState:
    """Return ``active`` for the first version of a usage, else ``ready``."""
    return KeyState.READY if any(record.usage == usage for record in records) else KeyState.ACTIVE


def activate(records: Sequence[R], usage: KeyUsage, version: int) -> R:
    """Make ``version`` the active one, in place; errors as ``CryptoDevice.activate``."""
    record = find(records, usage, version)
    if record.state is KeyState.ACTIVE:
        return record
    if record.state is not KeyState.READY or version < _active(records, usage):
        raise ActivationRefused(usage=usage.value, version=version)
    for other in records:
        if other.usage == usage and other.state is KeyState.ACTIVE:
            other.state = KeyState.ENABLED
    record.state = KeyState.ACTIVE
    return record


def switch(records: Sequence[R], usage: KeyUsage, version: int, state: KeyState) -> R:
    """Set a version ``enabled`` or ``disabled``, in place; errors as ``CryptoDevice.switch_off``."""
    record = find(records, usage, version)
    if record.state is KeyState.ACTIVE:
        raise ActiveKeyInUse(usage=usage.value, version=version)
    if record.state is KeyState.READY:
        raise ActivationRefused(usage=usage.value, version=version)
    record.state = state
    return record


def destroy(records: Sequence[R], usage: KeyUsage, version: int) -> R:
    """Mark a version destroyed, in place, and return it so that the device overwrites its value; repeatable."""
    for record in records:
        if (record.usage, record.version) == (usage, version):
            if record.state is KeyState.ACTIVE:
                raise ActiveKeyInUse(usage=usage.value, version=version)
            record.state = KeyState.DESTROYED
            return record
    raise KeyNotFound(usage=usage.value, version=version)


def merge(own: Sequence[R], other: Sequence[R]) -> list[R]:
    """Return the book after a restore: every version once, in its later state, one active version a usage.

    The records returned are ``own`` ones where there are any; those of ``other`` are altered.

    Raises:
        BackupRefused: the same version has two check values.
    """
    merged = {(record.usage, record.version): record for record in own}
    for record in other:
        known = merged.setdefault((record.usage, record.version), record)
        if known.kcv != record.kcv:
            raise BackupRefused(detail=f"{record.usage.value} {record.version}")
        known.state = max(known.state, record.state, key=_FINALITY.index)
    for usage in KeyUsage:
        actives = sorted(r.version for r in merged.values() if r.usage == usage and r.state is KeyState.ACTIVE)
        for version in actives[:-1]:
            merged[usage, version].state = KeyState.ENABLED
    return sorted(merged.values(), key=lambda record: (record.usage, record.version))


def _active(records: Iterable[Record], usage: KeyUsage) -> int:
    return max((r.version for r in records if r.usage == usage and r.state is KeyState.ACTIVE), default=0)
