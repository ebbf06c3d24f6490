"""What the platform asks of a crypto device (密码机), whatever it is made of.

A device keeps three kinds of keys and does single SM4 blocks and SM2 signatures with them; everything else is derived
in :mod:`yimatong.crypto.keys`. Keys never leave it in the clear. A version lives like this::

    ready     made or imported, waits for its activation: nothing is made or verified with it yet
    active    one version per usage; everything new is made with it
    enabled   an older version that is still live: what it made verifies
    disabled  switched off: nothing is made or verified with it; data sealed under it still opens
    destroyed gone for good; its number never returns

    generate, import_*, restore -> ready -> activate -> active -> (another is activated) -> enabled <-> disabled
    ready | enabled | disabled -> destroyed

The first version of a usage is active at once, for there is nothing to keep running. Activation goes forward only: a
version older than the active one never becomes active again. Versions count from 1 to 255 (they travel as one byte).

Who may ask for any of this, and with whose consent, is not the device's business: ``access.ceremony`` asks two people.
Every verb here is safe to repeat after a crash: the one that names a version finds its work done, and ``generate`` and
``import_wrapped`` take the number that the version must get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

VERSIONS: Final = range(1, 256)
CUSTODIANS: Final = range(2, 6)


class KeyUsage(StrEnum):
    """What a key is for."""

    SECURITY = "security"  # 安全密钥: makes VUIDs
    PROTECTION = "protection"  # 保护密钥: makes dynamic codes, references and data keys
    SIGNING = "signing"  # 签名密钥: SM2 key pair that signs codes for readers without a network; never imported


BLOCK_USAGES: Final = (KeyUsage.SECURITY, KeyUsage.PROTECTION)
"""The usages that are SM4 keys."""


class KeyState(StrEnum):
    """Where a key version stands in its life."""

    READY = "ready"
    ACTIVE = "active"
    ENABLED = "enabled"
    DISABLED = "disabled"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be known of a key version outside the device.

    ``kcv`` is 6 upper-case hex characters: the head of SM4-ECB(key, 0), of SM3(04 || x || y) for a key pair.
    """

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
    """The port. Implementations may be called from several threads; any call may raise ``DeviceUnavailable``.

    Wherever a usage and a version are named, ``KeyNotFound`` is raised when there is none, or it was destroyed.
    """

    @property
    def name(self) -> str:
        """Name for logs and errors."""

    @property
    def inline(self) -> bool:
        """True when a call costs microseconds and need not go to a thread."""

    @property
    def demonstration(self) -> bool:
        """Whether the keys are for demonstration only."""

    @property
    def is_cut_off(self) -> bool:
        """Whether the device is cut off from the key system (every import is refused)."""

    def key_versions(self, usage: KeyUsage) -> Sequence[KeyInfo]:
        """Return every version of ``usage``, destroyed ones included, newest first.

        Sees what other processes changed: a version that was switched off is off from the next call on.
        """

    # -- work ---------------------------------------------------------------------------------------------------------

    def encrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Return SM4-ECB of N x 16 bytes under one key version, in one call; any state but destroyed.

        ``ValueError`` for part blocks or the signing usage.
        """

    def decrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Reverse :meth:`encrypt_blocks`; the same errors."""

    def sign(self, version: int, digest: bytes) -> bytes:
        """Return the SM2 signature r || s (64 bytes) over a digest of 32 bytes (``gm.sm2.digest``: e = SM3(Z || M)).

        ``ValueError`` for a digest of another length.

        Raises:
            KeyDisabled: the version is not live.
        """

    def public_key(self, version: int) -> bytes:
        """Return the public key 04 || x || y (65 bytes) of a signing version, whatever its state but destroyed."""

    # -- where keys come from -----------------------------------------------------------------------------------------

    def generate(self, usage: KeyUsage, *, version: int | None = None) -> KeyInfo:
        """Make a new key inside the device. Allowed after the cut-off: nothing is imported.

        ``version`` is the number that it must get.

        Raises:
            VersionNotNext: the next version has another number, or all 255 are used up.
        """

    def import_component(self, usage: KeyUsage, component: Component) -> KeyInfo | None:
        """Take one custodian's component; the last one makes the key and returns it.

        Raises:
            ImportRefusedAfterCutOff: the device is cut off from the key system.
            ComponentMismatch: a KCV does not fit; if it is that of the whole key, the ceremony is dropped.
            ComponentsIncomplete: the component contradicts those already taken, or the usage is signing.
        """

    def abandon_ceremony(self, ceremony: str) -> None:
        """Drop the components taken so far for ``ceremony``; nothing happens when there are none."""

    def transport_public_key(self) -> bytes:
        """Return the device's SM2 encryption public key (65 bytes), under which a key system wraps keys for it."""

    def import_wrapped(self, usage: KeyUsage, wrapped: bytes, kcv: str, *, version: int | None = None) -> KeyInfo:
        """Take an SM4 key wrapped under the transport key: SM2 ciphertext C1 || C3 || C2 (113 bytes, GB/T 32918.4).

        Raises:
            ImportRefusedAfterCutOff: the device is cut off from the key system.
            ComponentMismatch: it does not unwrap to a key with this KCV.
            ComponentsIncomplete: the usage is signing.
            VersionNotNext: as for :meth:`generate`.
        """

    # -- the life of a version ----------------------------------------------------------------------------------------

    def activate(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Make a ready version the one that everything new is made with; the old one stays enabled. Repeatable.

        Raises:
            ActivationRefused: older than the active version, or not ready.
        """

    def switch_off(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Disable a version: what it made stops verifying, data sealed under it still opens. Repeatable.

        Raises:
            ActiveKeyInUse: it is the active one; rotate first.
            ActivationRefused: it is not activated yet.
        """

    def switch_on(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Enable a disabled version again; the same errors."""

    def destroy(self, usage: KeyUsage, version: int) -> KeyInfo:
        """Overwrite a version that is not active; whatever was sealed or derived under it is lost. Repeatable.

        The device cannot know what is sealed under it: whoever asks has looked (``access.ceremony`` does).

        Raises:
            ActiveKeyInUse: it is the active one; rotate first. KeyNotFound: there never was such a version.
        """

    def backup(self, components: Sequence[Component]) -> bytes:
        """Return everything the device holds, sealed under the key that the custodians' components make.

        The components' ``key_kcv`` may be empty: the custodians bring random values, nobody knows the whole.

        Raises:
            ComponentMismatch, ComponentsIncomplete: see :meth:`import_component`.
        """

    def restore(self, backup: bytes, components: Sequence[Component]) -> None:
        """Take the versions of a backup that this device does not hold. Repeatable.

        What this device knows is never undone by an older backup: for a version that both hold the later state wins
        (destroyed over disabled over enabled), a destroyed version stays destroyed, the active version stays the newer
        one, and a cut-off in either is a cut-off. A device that knows nothing takes the backup as it is; that it is
        older than what the platform saw, the platform's own ledger tells (``access.ceremony``).

        Raises:
            ImportRefusedAfterCutOff: this device is cut off from the key system.
            ComponentMismatch, ComponentsIncomplete: see :meth:`import_component`.
            BackupRefused: altered, sealed under another key, or a version of the same number has another value.
        """

    def cut_off(self) -> None:
        """Cut the device off from the key system, for good: imports and :meth:`restore` are refused. Repeatable."""
