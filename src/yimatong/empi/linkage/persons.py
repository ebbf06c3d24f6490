"""The index itself as a source for training and bulk linkage: golden records, unsealed in a stream, a page at a time.

Facts in clear live in one page of rows and in DuckDB's memory; nothing is written to a disk here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from yimatong.crypto.sealing import Sealer
from yimatong.empi.linkage.preparing import BATCH_ROWS
from yimatong.empi.records import SealedFacts, aad

_decoder: Final = msgspec.json.Decoder(SealedFacts)
_SELECT: Final = (
    "SELECT mpi, sealed, sex, birth_date FROM empi_person WHERE state = 'live' AND mpi > %s ORDER BY mpi LIMIT %s"
)
_DOMAIN_INDEX: Final = "98"
"""Type of the number that stands in for a certificate; it identifies nobody elsewhere."""
_FIRST: Final = UUID(int=0)


class Persons:
    """Live persons in the order of their ids; after a pass ``mpis`` names them, ``unsealing_s`` says its price."""

    def __init__(self, connection: psycopg.Connection[Any], sealer: Sealer) -> None:
        """Remember where to read; every page is one statement, no transaction is held."""
        self._connection = connection
        self._sealer = sealer
        self.mpis: list[UUID] = []
        self.unsealing_s = 0.0

    def count(self) -> int:
        """Return how many there are, for progress and worker processes."""
        row = self._connection.execute("SELECT count(*) FROM empi_person WHERE state = 'live'").fetchone()
        return int(row[0]) if row is not None else 0

    def batches(self) -> Iterator[Sequence[Sequence[Any]]]:
        """Yield the columns of ``preparing.FACTS``, a page at a time.

        Raises:
            SealBroken: a row was edited.
        """
        after = _FIRST
        while rows := self._connection.execute(_SELECT, (after, BATCH_ROWS)).fetchall():
            after = rows[-1][0]
            self.mpis += [row[0] for row in rows]
            began = time.perf_counter()
            opened = [
                _decoder.decode(self._sealer.unseal(bytes(sealed), aad(mpi))) for mpi, sealed, _sex, _born in rows
            ]
            self.unsealing_s += time.perf_counter() - began
            yield [
                [facts.name for facts in opened],
                [row[2] for row in rows],
                [row[3] for row in rows],
                [facts.said_type or facts.id_type for facts in opened],
                [facts.said_number or _number(facts) for facts in opened],
                [facts.phone for facts in opened],
                [facts.address for facts in opened],
            ]


def _number(facts: SealedFacts) -> str:
    return "" if facts.id_type == _DOMAIN_INDEX else facts.id_number
