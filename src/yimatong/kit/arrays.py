"""Array literals of PostgreSQL, written by hand.

Statements for many rows take one array a column (``unnest``). psycopg's own arrays look at every element's type, which
costs more than everything else that such a statement does; here the caller knows what the elements are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


def plain(values: Iterable[object]) -> str:
    """Write values that need no quotes: numbers, hex, ids, UUIDs, true and false; ``None`` is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def octets(values: Iterable[bytes | None]) -> str:
    """Write byte strings; ``None`` is NULL."""
    return "{" + ",".join(["NULL" if value is None else '"\\\\x' + value.hex() + '"' for value in values]) + "}"


def moments(values: Iterable[datetime]) -> str:
    """Write points in time, aware."""
    return "{" + ",".join([f'"{value.isoformat()}"' for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Write any texts, quoted; ``None`` is NULL."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
