"""What the person index keeps sealed, for the job that seals it anew after a rotation (``access.resealing``)."""

from __future__ import annotations

from typing import Final

from yimatong.access.resealing import SealedColumn
from yimatong.empi.models import contribution, person, visit_card
from yimatong.empi.persons.queries import aad
from yimatong.empi.visit_cards import service as visit_cards

PLACES: Final = (
    SealedColumn(table=person, key=("mpi",), column="sealed", aad=aad),
    SealedColumn(
        table=contribution, key=("mpi", "contribution_id"), column="sealed", aad=lambda mpi, _contribution: aad(mpi)
    ),
    SealedColumn(table=visit_card, key=("institution_id", "number_blind"), column="number_sealed", aad=visit_cards.aad),
)
