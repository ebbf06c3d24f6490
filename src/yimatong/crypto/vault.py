"""The vault: what the rooms use of the crypto device, asynchronous, with derived keys kept for seconds at most.

Rooms hand in plain facts (a master index id as 32 hex characters, a certificate) and get back VUIDs, code keys,
references, a sealer and a blinder. Devices that answer in microseconds are called directly, others in a thread.

Blinds, references and the audit chain must mean the same for years, whatever is rotated: their keys come from the
*anchor* version of the protection key (the first). It may be switched off for codes, but destroying it means
re-computing every blind and reference first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, cast

from yimatong.crypto import keys
from yimatong.crypto.devices.base import CryptoDevice, KeyState, KeyUsage
from yimatong.crypto.keys import Certificate, Holder
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder

_T = TypeVar("_T")


class Vault:
    """One per process, over one device. ``issuer`` names the platform inside every dynamic code key.

    ``cache_s``: how long a derived key may stay in memory; ``clock``: monotonic seconds.
    """

    def __init__(
        self,
        device: CryptoDevice,
        *,
        issuer: str,
        anchor_version: int = 1,
        cache_s: float = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device: Final = device
        self.issuer: Final = issuer
        self._anchor = anchor_version
        self._cache_s = cache_s
        self._clock = clock
        self._cache: dict[str, tuple[float, object]] = {}

    @property
    def anchor(self) -> int:
        """The version of the protection key that blinds, references and the audit chain stand on."""
        return self._anchor

    async def vuid(self, mpi: str, id_type: str, id_number: str) -> tuple[str, int]:
        """Return a new VUID and the version of the security key that made it. ``mpi``: 32 hex characters.

        Raises:
            KeyNotFound: the device has no active security key.
            DeviceUnavailable: the device does not answer.
        """
        made, version = await self.vuids([(mpi, id_type, id_number)])
        return made[0], version

    async def vuids(self, holders: Sequence[tuple[str, str, str]]) -> tuple[list[str], int]:
        """Return one VUID per (mpi, id_type, id_number), in order, with one device call; errors as :meth:`vuid`."""
        wanted = [Holder(bytes.fromhex(mpi), id_type, id_number) for mpi, id_type, id_number in holders]

        def make() -> tuple[list[str], int]:
            version = keys.active_version(self.device, KeyUsage.SECURITY)
            return keys.vuids(self.device, version, wanted), version

        return await self._call(make)

    async def recover_certificate(self, mpi: str, vuid: str, version: int) -> Certificate:
        """Return the certificate that ``vuid`` was made from; errors as :func:`keys.recover_certificate`."""
        return await self._call(lambda: keys.recover_certificate(self.device, version, bytes.fromhex(mpi), vuid))

    async def valid_keys(self, vuids: Sequence[str]) -> dict[int, list[bytes]]:
        """Return, per live protection key version (at most two, newest first), one code key per VUID, in order.

        Never cached: a version that is switched off verifies nothing from the next call on.

        Raises:
            KeyNotFound: no version is live.
            DeviceUnavailable: the device does not answer.
        """
        if self.device.inline:
            return keys.live_valid_keys(self.device, self.issuer, vuids)
        return await self._call(lambda: keys.live_valid_keys(self.device, self.issuer, vuids))

    async def sealer(self, purpose: str = "personal") -> Sealer:
        """Return the sealer for one purpose (``personal``, ``caller-secrets``, ...); purposes do not share keys.

        Use it at once; do not keep it. A change of versions is seen at the next call, so that what another process
        sealed under a version a moment old opens here. Errors as :meth:`valid_keys`.
        """
        known = [f"{info.version}{info.state}" for info in self.device.key_versions(KeyUsage.PROTECTION)]
        return await self._cached(f"sealer:{purpose}:{','.join(known)}", lambda: self._make_sealer(purpose))

    async def blinder(self) -> Blinder:
        """Return the blinder. Use it at once; do not keep it.

        Raises:
            KeyNotFound: the anchor version is gone.
            DeviceUnavailable: the device does not answer.
        """
        return await self._cached("blinder", lambda: Blinder(self._anchored("blind-index")))

    async def mpi_ref(self, caller_id: str, mpi: str) -> str:
        """Return how ``caller_id`` sees ``mpi``: 32 lower-case hex characters; errors as :meth:`blinder`."""
        return keys.mpi_ref(await self._reference_key(caller_id), bytes.fromhex(mpi))

    async def referrer(self, caller_id: str) -> Callable[[str], str]:
        """Return what makes ``caller_id``'s references without asking the device again; errors as :meth:`blinder`."""
        key = await self._reference_key(caller_id)
        return lambda mpi: keys.mpi_ref(key, bytes.fromhex(mpi))

    async def mpi_from_ref(self, caller_id: str, ref: str) -> str:
        """Return the master index id behind ``ref``, 32 lower-case hex characters; it need not exist.

        Raises:
            ReferenceInvalid: not 32 hexadecimal characters. Others as :meth:`blinder`.
        """
        return keys.mpi_from_ref(await self._reference_key(caller_id), ref).hex()

    async def audit_key(self) -> bytes:
        """Return the key (32 bytes) of the audit chain; errors as :meth:`blinder`."""
        return await self._cached("audit", lambda: self._anchored("audit-chain"))

    def forget(self) -> None:
        """Drop every cached key (after a change of keys in this process)."""
        self._cache.clear()

    async def _reference_key(self, caller_id: str) -> bytes:
        return await self._cached(
            f"mpi-ref:{caller_id}", lambda: keys.mpi_ref_key(self.device, self._anchor, caller_id)
        )

    def _anchored(self, label: str) -> bytes:
        return keys.data_key(self.device, label, self._anchor, size=32)

    def _make_sealer(self, purpose: str) -> Sealer:
        device = self.device
        active = keys.active_version(device, KeyUsage.PROTECTION)
        kept = [i.version for i in device.key_versions(KeyUsage.PROTECTION) if i.state is not KeyState.DESTROYED]
        return Sealer({version: keys.data_key(device, f"seal:{purpose}", version) for version in kept}, active)

    async def _cached(self, name: str, make: Callable[[], _T]) -> _T:
        now = self._clock()
        kept = self._cache.get(name)
        if kept is not None and now < kept[0]:
            return cast("_T", kept[1])
        value = await self._call(make)
        self._cache = {other: entry for other, entry in self._cache.items() if now < entry[0]}
        self._cache[name] = (now + self._cache_s, value)
        return value

    async def _call(self, make: Callable[[], _T]) -> _T:
        return make() if self.device.inline else await asyncio.to_thread(make)
