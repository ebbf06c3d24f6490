"""The key pair that signs offline codes: it stays in the crypto device, its version is the ``kid`` of a code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from yimatong.crypto import keys
from yimatong.crypto.devices.base import KeyState, KeyUsage
from yimatong.crypto.gm import sm2
from yimatong.crypto.vault import Vault

T = TypeVar("T")


async def _ask(vault: Vault, what: Callable[[], T]) -> T:
    return what() if vault.device.inline else await asyncio.to_thread(what)


async def live_public_keys(vault: Vault) -> dict[int, bytes]:
    """Return the public keys (65 bytes) whose signatures are good, by kid; asked of the device every time.

    Raises:
        DeviceUnavailable: the device does not answer.
    """

    def read() -> dict[int, bytes]:
        device = vault.device
        live = [info.version for info in device.key_versions(KeyUsage.SIGNING) if info.live]
        return {version: device.public_key(version) for version in live}

    return await _ask(vault, read)


async def revoked_kids(vault: Vault) -> list[int]:
    """Return the kids whose signatures are not good any more; errors as ``live_public_keys``."""

    def read() -> list[int]:
        dead = {KeyState.DISABLED, KeyState.DESTROYED}
        return sorted(info.version for info in vault.device.key_versions(KeyUsage.SIGNING) if info.state in dead)

    return await _ask(vault, read)


async def active_kid(vault: Vault) -> int:
    """Return the kid that new codes are signed with.

    Raises:
        KeyNotFound: the device has no active signing key. DeviceUnavailable: it does not answer.
    """
    return await _ask(vault, lambda: keys.active_version(vault.device, KeyUsage.SIGNING))


async def sign(vault: Vault, kid: int, message: bytes) -> bytes:
    """Return the signature r || s (64 bytes) of the device over a message.

    Raises:
        KeyDisabled, KeyNotFound: the version signs no more. DeviceUnavailable: the device does not answer.
    """

    def make() -> bytes:
        return vault.device.sign(kid, sm2.digest(vault.device.public_key(kid), message))

    return await _ask(vault, make)
