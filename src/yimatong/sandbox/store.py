"""A journal of JSON lines: the memory of the outside parties, independent of the platform's database.

One line is one atomic change: a list of ``[table, key, row]``, ``row`` being ``null`` for a removal. Opening replays
the file; a torn last line (the process was killed while writing) was never acknowledged and is cut off.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

Row = TypeVar("Row", bound=msgspec.Struct)


class JournalBroken(Exception):
    """A line in the middle of the journal cannot be read; nothing is guessed."""


class Store:
    """All tables of the simulators over one journal file. Used by one process at a time."""

    def __init__(self, directory: Path) -> None:
        """Replay ``directory/journal.jsonl``, or start it.

        Raises:
            JournalBroken: a line that is not the last one is not a change.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._path = directory / "journal.jsonl"
        self._raw: dict[str, dict[str, msgspec.Raw]] = {}
        self._buffer: list[tuple[str, str, msgspec.Struct | None]] = []
        self._asked = 0
        self._durable = 0
        self._writing: asyncio.Task[None] | None = None
        self._size = self._replay()
        self._file = self._path.open("r+b") if self._path.exists() else self._path.open("w+b")
        self._file.truncate(self._size)

    def table(self, name: str, row_type: type[Row]) -> Table[Row]:
        """Return the table ``name`` with the rows that the journal holds for it."""
        rows = {key: msgspec.json.decode(raw, type=row_type) for key, raw in self._raw.pop(name, {}).items()}
        return Table(self, name, rows)

    def put(self, table: str, key: str, row: msgspec.Struct | None) -> None:
        """Note a change; it is on the disk after the next ``flush``."""
        self._buffer.append((table, key, row))
        self._asked += 1

    async def flush(self) -> None:
        """Return when everything noted so far is on the disk. Concurrent callers share one fsync."""
        target = self._asked
        while self._durable < target:
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_buffer())
            await asyncio.shield(self._writing)  # a caller that goes away must not tear a line

    def close(self) -> None:
        """Close the file; what was not flushed is lost, as it would be in a crash."""
        self._file.close()

    async def _write_buffer(self) -> None:
        changes, self._buffer = self._buffer, []
        line = msgspec.json.encode(changes) + b"\n"
        try:
            await asyncio.to_thread(self._write, line)
        except OSError:
            self._buffer = changes + self._buffer
            raise
        self._size += len(line)
        self._durable += len(changes)

    def _write(self, line: bytes) -> None:
        self._file.seek(self._size)
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _replay(self) -> int:
        if not self._path.exists():
            return 0
        size = 0
        decoder = msgspec.json.Decoder(list[tuple[str, str, msgspec.Raw]])
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    changes = decoder.decode(line)
                except msgspec.DecodeError as error:
                    message = f"{self._path}, line {number}: {error}"
                    raise JournalBroken(message) from error
                self._apply(changes)
                size += len(line)
        return size

    def _apply(self, changes: list[tuple[str, str, msgspec.Raw]]) -> None:
        for table, key, raw in changes:
            rows = self._raw.setdefault(table, {})
            if bytes(raw) == b"null":
                rows.pop(key, None)
            else:
                rows[key] = raw.copy()


class Table(Generic[Row]):
    """Rows by key, in memory; every change goes to the journal."""

    def __init__(self, store: Store, name: str, rows: dict[str, Row]) -> None:
        """Belong to ``store`` under ``name``; made by ``Store.table`` only."""
        self._store = store
        self._name = name
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def get(self, key: str) -> Row | None:
        """Return the row or ``None``."""
        return self._rows.get(key)

    def put(self, key: str, row: Row) -> None:
        """Insert or replace a row."""
        self._rows[key] = row
        self._store.put(self._name, key, row)

    def remove(self, key: str) -> None:
        """Delete a row; the key must exist."""
        del self._rows[key]
        self._store.put(self._name, key, None)
