"""What the person index keeps sealed, for the job that seals it anew after a rotation (``access.resealing``)."""

from __future__ import annotations

from typing import Final

from yimatong.access.resealing import SealedColumn
from yimatong.empi.models import contribution, person
from yimatong.empi.persons.queries import aad

PLACES: Final = (
    SealedColumn(table=person, key=("mpi",), column="sealed", aad=aad),
    SealedColumn(
        table=contribution, key=("mpi", "contribution_id"), column="sealed", aad=lambda mpi, _contribution: aad(mpi)
    ),
)
