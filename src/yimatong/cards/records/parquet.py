"""Parquet files of records, written and read by DuckDB in memory: no plaintext ever stands on a disk.

DuckDB wants a path; it is given that of an anonymous file in memory (``memfd_create``), where the system has none, of a
file of mode 0600 that is removed at once. Synchronous; callers run it in a thread.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from yimatong.cards.records.conditions import COLUMNS, FIELDS, Condition, Mark, duck_where
from yimatong.cards.records.schemas import Record

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_KINDS: Final = {"at": "BIGINT", "key_version": "SMALLINT", "took_ms": "SMALLINT"}
_TIMES: Final = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}
NULL: Final = "\x02"
"""How an empty value is written in the text that goes to DuckDB and under a digest; no record holds this character."""
_MEMORY: Final[dict[str, str | bool | int | float | list[str]]] = {"memory_limit": "1GB", "threads": 2}
_EPOCH_US: Final = 'epoch_us("at")'
_BEIJING_US: Final = 8 * 3600 * 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1)
def _database() -> DuckDBPyConnection:
    """Return this process's DuckDB, in memory: making one costs more than a search of a day."""
    import duckdb  # noqa: PLC0415 -- a large library, wanted by a few acts alone

    return duckdb.connect(":memory:", config=_MEMORY)


def _duck() -> DuckDBPyConnection:
    """Return a connection for one thread."""
    return _database().cursor()


@contextmanager
def memory_file(content: bytes = b"") -> Iterator[tuple[int, str]]:
    """Give a file that lives in memory as its descriptor and path; it is gone when the block ends."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("records", os.MFD_CLOEXEC)
        path, remove = f"/proc/self/fd/{descriptor}", False
    else:  # pragma: no cover -- systems other than Linux
        descriptor, path = tempfile.mkstemp(prefix="yimatong-records-")
        remove = True
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield descriptor, path
    finally:
        os.close(descriptor)
        if remove:  # pragma: no cover -- the same
            Path(path).unlink()


def write(rows_path: str) -> bytes:
    """Return the Parquet file of the rows in a CSV text (columns as ``COLUMNS``, ``at`` in microseconds)."""
    kinds = "{" + ", ".join(f"'{name}': '{_KINDS.get(name, 'VARCHAR')}'" for name in COLUMNS) + "}"
    chosen = ", ".join('make_timestamp("at") AS "at"' if name == "at" else name for name in COLUMNS)
    with memory_file() as (descriptor, path), _duck() as duck:
        duck.execute(
            f"COPY (SELECT {chosen} FROM read_csv('{rows_path}', auto_detect=false, header=false, delim=',',"  # noqa: S608 -- paths and names of ours
            f" quote='\"', escape='\"', nullstr='{NULL}', columns={kinds}) ORDER BY \"at\", record_id)"
            f" TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20000, USE_TMP_FILE false)"
        )
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def digests(content: bytes) -> tuple[int, dict[str, str]]:
    """Read a Parquet file back; return its rows, and SHA-256 over each column in the order of (at, record_id)."""
    shown = [
        f"sha256(string_agg(coalesce(({_EPOCH_US if name == 'at' else name})::VARCHAR, chr(2)), chr(10)"
        ' ORDER BY "at", record_id))'
        for name in COLUMNS
    ]
    row = _ask(content, f"SELECT count(*), {', '.join(shown)}", [])[0]
    return row[0], dict(zip(COLUMNS, row[1:], strict=True))


def find(content: bytes, wanted: Sequence[Condition], *, after: Mark | None, limit: int) -> list[Record]:
    """Return the records of one file that meet the conditions, newest first."""
    where, values = duck_where(wanted, after)
    chosen = ", ".join(_EPOCH_US if name == "at" else name for name in COLUMNS)
    rows = _ask(
        content, f"SELECT {chosen}", values, rest=f'WHERE {where} ORDER BY "at" DESC, record_id DESC LIMIT {int(limit)}'
    )
    return [_record(row) for row in rows]


def count(
    content: bytes, wanted: Sequence[Condition], *, by: Sequence[str], limit: int
) -> list[tuple[tuple[str, ...], int]]:
    """Count the records of one file that meet the conditions, by some of ``COUNT_BY``."""
    where, values = duck_where(wanted, None)
    fields = [
        f"strftime(make_timestamp({_EPOCH_US} + {_BEIJING_US}), '{_TIMES[name]}')"
        if name in _TIMES
        else f"coalesce({FIELDS[name]}, '')"
        for name in by
    ]
    groups = f"GROUP BY {', '.join(str(index + 1) for index in range(len(fields)))}" if fields else ""
    rows = _ask(
        content, f"SELECT {', '.join([*fields, 'count(*)'])}", values, rest=f"WHERE {where} {groups} LIMIT {int(limit)}"
    )
    return [(tuple(row[:-1]), row[-1]) for row in rows if row[-1]]


def _ask(content: bytes, head: str, values: list[object], *, rest: str = "") -> list[Any]:
    with memory_file(content) as (_, path), _duck() as duck:
        return duck.execute(f"{head} FROM read_parquet('{path}') {rest}", values).fetchall()


def _record(row: Sequence[Any]) -> Record:
    values = dict(zip(COLUMNS, row, strict=True))
    return Record(**values | {"at": _EPOCH + timedelta(microseconds=values["at"])})
