"""The archive of records: a folder a month, a sealed Parquet file a Beijing day, and a manifest.

Records hold VUIDs, which stand for residents for ever, so every file is sealed with SM4-GCM under the data key of the
purpose ``archive``; its place (day, rows) is authenticated with it, so one day's file cannot stand in for another's.
Everything is written under a name of its own and appears by one rename, after it reached the disk.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from yimatong.cards.errors import ArchiveAway, ArchiveDamaged, ArchiveRunning
from yimatong.cards.records import parquet
from yimatong.cards.records.conditions import Condition, Mark
from yimatong.cards.records.schemas import Manifest, Part, Record
from yimatong.crypto.errors import SealBroken
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.vault import Vault

MANIFEST: Final = "manifest.json"
_AT_ONCE: Final = 2
"""How many files may be open in memory at once in one process."""

Found = TypeVar("Found")


class Archive:
    """The archive folder as one process sees it."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        """Keep the place; nothing is read before it is asked for."""
        self.folder: Final = folder
        self._vault = vault
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def find(self, part: Part, wanted: Sequence[Condition], *, after: Mark | None, limit: int) -> list[Record]:
        """Return the records of one part that meet the conditions, newest first.

        Raises:
            ArchiveAway, ArchiveDamaged.
        """
        return await self._look(part, lambda plain: parquet.find(plain, wanted, after=after, limit=limit))

    async def count(
        self, part: Part, wanted: Sequence[Condition], *, by: Sequence[str], limit: int
    ) -> list[tuple[tuple[str, ...], int]]:
        """Count the records of one part; errors as ``find``."""
        return await self._look(part, lambda plain: parquet.count(plain, wanted, by=by, limit=limit))

    async def digests(self, part: Part, folder: str) -> tuple[int, dict[str, str]]:
        """Read a part of one of the archive's folders back, whole; errors as ``find``."""
        return await self._look(part, parquet.digests, folder=folder)

    async def _look(self, part: Part, work: Callable[[bytes], Found], *, folder: str = "") -> Found:
        sealer = await self._vault.sealer("archive")
        path = self.folder / (folder or part.name[:7]) / part.name

        def look() -> Found:
            try:
                sealed = path.read_bytes()
            except OSError as error:
                raise ArchiveAway(name=part.name, audit=repr(error)) from error
            if sm3(sealed).hex() != part.sm3:
                raise ArchiveDamaged(name=part.name)
            try:
                plain = sealer.unseal(sealed, _place(part.name, part.rows))
            except SealBroken as error:
                raise ArchiveDamaged(name=part.name) from error
            return work(plain)

        async with self._room:
            return await asyncio.to_thread(look)

    async def put(self, folder: str, name: str, rows: int, plain: bytes) -> tuple[int, str, str]:
        """Seal a file into a folder that is being made; return its size, SHA-256 and SM3."""
        sealer = await self._vault.sealer("archive")

        def put() -> tuple[int, str, str]:
            sealed = sealer.seal(plain, _place(name, rows))
            write_file(self.folder / folder / name, sealed)
            return len(sealed), hashlib.sha256(sealed).hexdigest(), sm3(sealed).hex()

        return await asyncio.to_thread(put)

    def prepare(self, folder: str) -> None:
        """Make an empty folder for what is being written, without what a run before left behind."""
        shutil.rmtree(self.folder / folder, ignore_errors=True)
        (self.folder / folder).mkdir(mode=0o700, parents=True)

    def finish(self, folder: str, month: str, manifest: Manifest) -> bytes:
        """Write the manifest and let the month's folder appear, whole; return SM3 of the manifest.

        A folder of the month that is there already is moved aside, never removed.
        """
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        write_file(self.folder / folder / MANIFEST, content)
        sync_folder(self.folder / folder)
        self._move_aside(month)
        (self.folder / folder).rename(self.folder / month)
        sync_folder(self.folder)
        return sm3(content)

    def _move_aside(self, month: str) -> None:
        """Keep a folder that stands where another one is to appear: after a restore it may be the fuller one."""
        standing = self.folder / month
        if not standing.exists():
            return
        try:
            name = sm3((standing / MANIFEST).read_bytes()).hex()[:16]
        except OSError:
            name = "no-manifest"
        aside = [self.folder / f"{month}.aside-{name}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000)))]
        standing.rename(next(place for place in aside if not place.exists()))
        sync_folder(self.folder)

    def aside(self, month: str) -> list[str]:
        """Return the names of the folders of a month that were moved aside for another one."""
        return sorted(path.name for path in self.folder.glob(f"{month}.aside-*"))

    def standing(self, month: str) -> tuple[Manifest, bytes] | None:
        """Return the manifest of a month's folder that a run before has finished, with its SM3; None if it cannot."""
        try:
            content = (self.folder / month / MANIFEST).read_bytes()
            return msgspec.json.decode(content, type=Manifest), sm3(content)
        except (OSError, msgspec.MsgspecError):
            return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who writes to the archive folder.

        Raises:
            ArchiveRunning: another process does.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ArchiveRunning from error
            yield
        finally:
            os.close(descriptor)


def _place(name: str, rows: int) -> bytes:
    return f"records:{name}:{rows}".encode()


def write_file(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 and wait until it reached the disk."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder reached the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
