"""The result of a bulk run as files: who belongs together, and every pair with its weight; mode 0600."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yimatong.empi.matching import sql
from yimatong.empi.matching.scoring import Thresholds

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_GROUPS: Final = (
    "SELECT n.record, p.record AS person FROM groups g JOIN names n ON n.id = g.id JOIN names p ON p.id = g.person"
    " ORDER BY g.person, g.id"
)
_PAIRS: Final = (
    "SELECT a.record AS left, b.record AS right, round(s.weight, 3) AS weight, CASE WHEN s.weight >= {link} AND NOT"
    " s.guarded THEN 'link' ELSE 'review' END AS verdict FROM scored s JOIN names a ON a.id = s.l JOIN names b"
    " ON b.id = s.r ORDER BY s.weight DESC, s.l, s.r"
)


def write(connection: DuckDBPyConnection, names: Sequence[str], folder: Path, thresholds: Thresholds) -> None:
    """Write ``groups.csv`` (record, person) and ``pairs.csv`` (both records, bits, verdict) of the last run.

    Args:
        connection: holds the tables that ``bulk.link`` left.
        names: what each record is called outside, by its running number.
        folder: is made with mode 0700 where it is missing.
        thresholds: those of the run.
    """
    import pyarrow as pa  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    table = pa.table({"id": pa.array(range(len(names)), pa.int32()), "record": pa.array(names, pa.string())})
    connection.register("names", table)
    pairs = _PAIRS.format(link=sql.double(thresholds.link))
    for name, select in (("groups.csv", _GROUPS), ("pairs.csv", pairs)):
        private(folder / name, b"")
        place = str(folder / name).replace("'", "''")
        connection.execute(f"COPY ({select}) TO '{place}' (FORMAT csv, HEADER, USE_TMP_FILE false)")
    connection.unregister("names")


def private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
