"""DuckDB for bulk linkage: memory bounded, nothing personal on a disk in clear.

DuckDB 2 encrypts its temporary files only with the crypto module of its ``httpfs`` extension; its built-in module is
declared unsafe by its makers. So nothing is spilled by default, and running out of memory is a named error. Where the
extension is installed and a folder is given, DuckDB spills there, encrypted, in a folder of mode 0700 that goes with
the process; one that a killed process left is removed by the next run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yimatong.empi.errors import LinkageMemory, SpillNotEncrypted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_PREFIX: Final = "ymt-linkage-"


@contextmanager
def opened(
    *, memory_mb: int = 1600, threads: int | None = None, spill: Path | None = None
) -> Iterator[DuckDBPyConnection]:
    """Yield an in-memory database that holds at most ``memory_mb`` and leaves nothing behind.

    Raises:
        LinkageMemory: what was asked does not fit.
        SpillNotEncrypted: a spill folder was given, but DuckDB cannot encrypt what it writes there.
    """
    import duckdb  # noqa: PLC0415

    folder = None if spill is None else _private(spill)
    try:
        with duckdb.connect(config={"temp_directory": "" if folder is None else str(folder)}) as connection:
            connection.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
            connection.execute("SET preserve_insertion_order = false")
            connection.execute("SET enable_progress_bar = false")
            if threads is not None:
                connection.execute(f"SET threads = {int(threads)}")
            if folder is not None:
                _encrypt(connection)
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise LinkageMemory(memory_mb=memory_mb) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _encrypt(connection: DuckDBPyConnection) -> None:
    import duckdb  # noqa: PLC0415

    try:
        connection.execute("LOAD httpfs")
        connection.execute("SET temp_file_encryption = true")
    except duckdb.Error as error:
        raise SpillNotEncrypted from error


def _private(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{_PREFIX}*"):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not _alive(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
