"""What the platform asks of a crypto device (密码机), whatever it is made of.

A device keeps two kinds of keys and does SM4 over single blocks with them; everything else is derived in
:mod:`yimatong.crypto.keys`. Keys never leave it. Key states::

    active    one version per usage; everything new is made with it
    enabled   an older version that is still live: what it made verifies
    disabled  switched off: nothing is made or verified with it; data sealed under it still opens
    destroyed gone for good
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class KeyUsage(StrEnum):
    """What a key is for."""

    SECURITY = "security"  # 安全密钥: makes VUIDs
    PROTECTION = "protection"  # 保护密钥: makes dynamic codes, references and data keys


class KeyState(StrEnum):
    """Where a key version stands in its life."""

    ACTIVE = "active"
    ENABLED = "enabled"
    DISABLED = "disabled"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be known of a key version outside the device. ``kcv`` is 6 upper-case hex characters."""

    usage: KeyUsage
    version: int
    state: KeyState
    kcv: str

    @property
    def live(self) -> bool:
        """Whether new things are made or verified with it."""
        return self.state in {KeyState.ACTIVE, KeyState.ENABLED}


@dataclass(frozen=True, slots=True)
class Component:
    """One custodian's part of a key: 16 bytes, its own KCV, and the KCV announced for the whole key.

    ``ceremony`` names the ceremony; ``part`` counts from 1 to ``parts`` (2 to 5). The key is the XOR of all parts.
    """

    ceremony: str
    part: int
    parts: int
    value: bytes
    kcv: str
    key_kcv: str

    def __repr__(self) -> str:
        return f"Component(ceremony={self.ceremony!r}, part={self.part}, parts={self.parts}, value=***)"


@runtime_checkable
class CryptoDevice(Protocol):
    """The port. Implementations may be called from several threads."""

    @property
    def name(self) -> str:
        """Name for logs and errors."""

    @property
    def inline(self) -> bool:
        """True when a call costs microseconds and need not go to a thread."""

    @property
    def is_cut_off(self) -> bool:
        """Whether the device is cut off from the key system (every import is refused)."""

    def key_versions(self, usage: KeyUsage) -> Sequence[KeyInfo]:
        """Return every version of ``usage``, destroyed ones included, newest first.

        Raises:
            DeviceUnavailable: the device does not answer.
        """

    def encrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Return SM4-ECB of N x 16 bytes under one key version, in one call.

        Raises:
            KeyNotFound: no such version, or destroyed.
            DeviceUnavailable: the device does not answer.
        """

    def decrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Reverse :meth:`encrypt_blocks`; the same errors."""

    def import_component(self, usage: KeyUsage, component: Component) -> KeyInfo | None:
        """Take one custodian's component; the last one makes the key the new active version and returns it.

        Raises:
            ImportRefusedAfterCutOff: the device is cut off from the key system.
            ComponentMismatch: a KCV does not fit; if it is that of the whole key, the ceremony is dropped.
            ComponentsIncomplete: the component contradicts those already taken.
        """

    def cut_off(self) -> None:
        """Cut the device off from the key system, for good. Doing it twice changes nothing."""
