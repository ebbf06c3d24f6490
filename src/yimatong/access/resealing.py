"""Sealing anew what older data keys sealed, in the background, after a rotation of the protection key.

Each room names its own places (``PLACES`` in its module ``resealing``); the worker walks them in pages. A page is one
transaction: read rows past the mark, seal each under the active version, put each back only if nobody changed it
meanwhile, and write the new mark. A process killed at any point goes on from the last mark; rows written behind the
mark by somebody who still held the old key are found by the count at the end, which starts the walk again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Column, Table, and_, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.models import caller, idempotency, resealing
from yimatong.crypto.errors import SealBroken
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection, Database

PAGE_ROWS: Final = 500
SETTLE: Final = timedelta(minutes=2)
"""A derived key may live for seconds in other processes and a transaction for a minute: nothing is through before."""


class Place(Protocol):
    """Where sealed values stand."""

    @property
    def name(self) -> str:
        """Name people read, and key of the progress."""

    @property
    def purpose(self) -> str:
        """The sealer's purpose."""

    async def count(self, connection: Connection, version: int) -> int:
        """Return how many values are sealed under ``version``."""

    async def page(
        self, connection: Connection, sealer: Sealer, mark: list[str] | None, rows_max: int
    ) -> tuple[list[str] | None, int]:
        """Seal a page past ``mark`` anew; return the next mark (None at the end) and how many values were changed."""


@dataclass(frozen=True, kw_only=True)
class SealedColumn:
    """A column of sealed blobs. ``aad`` makes the associated data from the key's values, in the order of ``key``."""

    table: Table
    key: tuple[str, ...]
    column: str
    aad: Callable[..., bytes]
    purpose: str = "personal"

    @property
    def name(self) -> str:
        """Table and column."""
        return f"{self.table.name}.{self.column}"

    @property
    def _blob(self) -> Column[Any]:
        return self.table.c[self.column]

    async def count(self, connection: Connection, version: int) -> int:
        """Count by the blobs' second byte; reads the whole column."""
        wanted = (
            select(func.count())
            .select_from(self.table)
            .where(func.octet_length(self._blob) > 0, func.substring(self._blob, 2, 1) == bytes((version,)))
        )
        return int((await connection.execute(wanted)).scalar_one())

    async def page(
        self, connection: Connection, sealer: Sealer, mark: list[str] | None, rows_max: int
    ) -> tuple[list[str] | None, int]:
        """See :class:`Place`; a blob that does not open is left as it is, for the count to show."""
        keys = [self.table.c[name] for name in self.key]
        wanted = select(*keys, self._blob).order_by(*keys).limit(rows_max)
        if mark is not None:
            at = [
                literal(_from_mark(key.type.python_type, value), key.type)
                for key, value in zip(keys, mark, strict=True)
            ]
            wanted = wanted.where(tuple_(*keys) > tuple_(*at))
        rows = [tuple(row) for row in await connection.execute(wanted)]
        changed = 0
        for row in rows:
            changed += await self._again(connection, sealer, row)
        last = rows[-1] if len(rows) == rows_max else None
        return (None if last is None else [_to_mark(value) for value in last[: len(keys)]]), changed

    async def _again(self, connection: Connection, sealer: Sealer, row: tuple[Any, ...]) -> int:
        key, blob = row[:-1], row[-1]
        if not blob or sealer.is_current(bytes(blob)):
            return 0
        aad = self.aad(*key)
        try:
            fresh = sealer.seal(sealer.unseal(bytes(blob), aad), aad)
        except SealBroken:
            return 0
        same = [self.table.c[name] == value for name, value in zip(self.key, key, strict=True)]
        put = (
            update(self.table)
            .where(and_(*same, self._blob == blob))
            .values({self.column: fresh})
            .returning(self.table.c[self.key[0]])
        )
        return 1 if (await connection.execute(put)).first() is not None else 0


@dataclass(frozen=True, kw_only=True)
class SealedFiles:
    """Files that are one blob each. ``aad`` makes the associated data from the path; None: counted, not sealed anew."""

    name: str
    folder: Path
    files: str
    purpose: str
    aad: Callable[[Path], bytes] | None

    async def count(self, _connection: Connection, version: int) -> int:
        """Count by the files' second byte."""

        def look() -> int:
            return sum(1 for path in self.folder.rglob(self.files) if _version(path) == version)

        return await asyncio.to_thread(look)

    async def page(
        self, _connection: Connection, sealer: Sealer, mark: list[str] | None, rows_max: int
    ) -> tuple[list[str] | None, int]:
        """See :class:`Place`; each file is written beside itself and renamed."""
        after = Path(mark[0]) if mark else None

        def work() -> tuple[list[str] | None, int]:
            paths = sorted(path for path in self.folder.rglob(self.files) if after is None or path > after)
            here = paths[:rows_max]
            changed = sum(self._again(path, sealer) for path in here)
            return ([str(here[-1])] if len(paths) > rows_max else None), changed

        return await asyncio.to_thread(work) if self.aad is not None else (None, 0)

    def _again(self, path: Path, sealer: Sealer) -> int:
        blob = path.read_bytes()
        if self.aad is None or sealer.is_current(blob):
            return 0
        aad = self.aad(path)
        try:
            fresh = sealer.seal(sealer.unseal(blob, aad), aad)
        except SealBroken:
            return 0
        draft = path.with_name(f"{path.name}.again")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(fresh)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return 1


def _to_mark(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _from_mark(kind: type[Any], mark: str) -> object:
    return bytes.fromhex(mark) if kind is bytes else kind(mark)


def _version(path: Path) -> int:
    with path.open("rb") as file:
        return (file.read(2) + b"\0\0")[1]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one place is. ``remaining`` counts values under other versions, where it was asked for."""

    place: str
    version: int
    resealed: int
    started_at: datetime
    done_at: datetime | None


PLACES: Final[tuple[SealedColumn, ...]] = (
    SealedColumn(
        table=caller,
        key=("caller_id",),
        column="secret_sealed",
        purpose="caller-secrets",
        aad=lambda caller_id: b"access_caller:" + str(caller_id).encode(),
    ),
    SealedColumn(
        table=idempotency,
        key=("caller_id", "key"),
        column="answer",
        purpose="answers",
        aad=lambda caller_id, key: f"idempotency:{caller_id}:{key}".encode(),
    ),
)


async def remaining(db: Database, places: Sequence[Place], version: int) -> dict[str, int]:
    """Return how many values are still sealed under ``version``, by place; reads every sealed column."""
    found: dict[str, int] = {}
    for place in places:
        async with db.read() as connection:
            found[place.name] = await place.count(connection, version)
    return found


async def progress(connection: Connection) -> list[Progress]:
    """Return how far each place is; places that were never walked are missing."""
    rows = await connection.execute(select(resealing).order_by(resealing.c.place))
    return [
        Progress(
            place=row.place, version=row.version, resealed=row.resealed, started_at=row.started_at, done_at=row.done_at
        )
        for row in rows
    ]


async def reseal(
    db: Database, vault: Vault, places: Sequence[Place], *, now: Callable[[], datetime], rows_max: int = PAGE_ROWS
) -> int:
    """Walk every place to its end; return how many values were sealed anew. Many may do it at once."""
    total = 0
    for place in places:
        async for changed in _pages(db, vault, place, now=now, rows_max=rows_max):
            total += changed
    return total


async def _pages(
    db: Database, vault: Vault, place: Place, *, now: Callable[[], datetime], rows_max: int
) -> AsyncIterator[int]:
    while True:
        sealer = await vault.sealer(place.purpose)
        if not sealer.older:
            return
        async with db.transaction() as connection:
            row = await _mine(connection, place.name, sealer.active, now())
            if row is None or row["done_at"] is not None:
                return
            mark, changed = await place.page(connection, sealer, row["mark"], rows_max)
            walked = row["walked"] + changed
            values: dict[str, object] = {"mark": mark, "resealed": row["resealed"] + changed, "moved_at": now()}
            values["walked"] = 0 if mark is None else walked
            if mark is None and now() - row["started_at"] >= SETTLE:
                left = [await place.count(connection, version) for version in sealer.older]
                # a walk that changed nothing has met only what does not open: no further walk would change that
                values["done_at"] = None if any(left) and walked else now()
            await connection.execute(update(resealing).where(resealing.c.place == place.name).values(values))
        yield changed
        if mark is None:
            return


async def _mine(connection: Connection, place: str, version: int, now: datetime) -> Mapping[str, Any] | None:
    """Take the place for this transaction and return its progress under ``version``; None when another has it."""
    fresh: dict[str, object] = {"version": version, "mark": None, "resealed": 0, "walked": 0}
    fresh |= {"started_at": now, "moved_at": now, "done_at": None}
    await connection.execute(insert(resealing).values(place=place, **fresh).on_conflict_do_nothing())
    wanted = select(resealing).where(resealing.c.place == place).with_for_update(skip_locked=True)
    row = (await connection.execute(wanted)).mappings().first()
    if row is None:
        return None
    if row["version"] == version:
        return dict(row)
    await connection.execute(update(resealing).where(resealing.c.place == place).values(fresh))
    return fresh
