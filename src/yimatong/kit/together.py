"""Writes that need nothing of each other, sent to PostgreSQL as one statement.

A payment moves two rows and writes four more. Statement by statement that is six round trips, each with more work
around it than in it; as one statement with several parts it is one. All parts see the database as it was before, so
none may read what another writes, and no two may touch the same row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, TextClause, text

from yimatong.kit.db import Connection


class Piece(NamedTuple):
    """One write: named parts of a WITH clause, and their values.

    ``words`` is constant text, ``name AS (statement), ...``; every name in it begins with ``@``. ``gives`` names the
    part whose row the piece is about; ``refused`` is raised where that part has none.
    """

    words: str
    values: Mapping[str, object]
    gives: str = ""
    refused: Exception | None = None


async def together(connection: Connection, *pieces: Piece) -> Row[Any]:
    """Write pieces in the open transaction; return the row that the first one gives.

    Raises:
        The ``refused`` of a piece that gave no row: the transaction is to be rolled back.
        sqlalchemy.exc.IntegrityError: as for any statement.
    """
    statement = _joined(tuple((piece.words, piece.gives) for piece in pieces))
    values = {f"{name}_{at}": value for at, piece in enumerate(pieces) for name, value in piece.values.items()}
    row: Row[Any] = (await connection.execute(statement, values)).one()
    for piece, count in zip(pieces, row, strict=False):
        if piece.refused is not None and not count:
            raise piece.refused
    return row


_VALUE: Final = re.compile(r"(?<![:\w]):(\w+)")
_NAME: Final = re.compile(r"@(\w+)")


@lru_cache(maxsize=500)
def _joined(pieces: tuple[tuple[str, str], ...]) -> TextClause:
    """Put the one statement together; it is made once for each combination."""
    parts, counts = list[str](), list[str]()
    for at, (words, gives) in enumerate(pieces):
        parts.append(_NAME.sub(rf"\1_{at}", _VALUE.sub(rf":\1_{at}", words)))
        counts.append(f"(SELECT count(*) FROM {gives}_{at}) AS count_{at}" if gives else f"1 AS count_{at}")  # noqa: S608 -- constants
    shown = f", g.* FROM (SELECT 1) AS one LEFT JOIN {pieces[0][1]}_0 AS g ON true" if pieces[0][1] else ""
    return text(f"WITH {', '.join(parts)} SELECT {', '.join(counts)}{shown}")
