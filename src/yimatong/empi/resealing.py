"""What the person index keeps sealed, for the job that seals it anew after a rotation (``access.resealing``)."""

from __future__ import annotations

from typing import Final

from yimatong.access.resealing import SealedColumn
from yimatong.empi.models import (
    contribution,
    identifier,
    medium,
    merge,
    national_inbox,
    national_item,
    person,
    review_step,
)
from yimatong.empi.persons.queries import aad

PLACES: Final = (
    SealedColumn(table=person, key=("mpi",), column="sealed", aad=aad),
    SealedColumn(
        table=contribution, key=("mpi", "contribution_id"), column="sealed", aad=lambda mpi, _contribution: aad(mpi)
    ),
    SealedColumn(
        table=identifier,
        key=("relation_id",),
        column="number_sealed",
        aad=lambda own: f"empi_identifier:{own}".encode(),
    ),
    SealedColumn(
        table=medium, key=("medium_id",), column="number_sealed", aad=lambda own: f"empi_medium:number:{own}".encode()
    ),
    SealedColumn(
        table=medium, key=("medium_id",), column="chip_sealed", aad=lambda own: f"empi_medium:chip:{own}".encode()
    ),
    SealedColumn(table=merge, key=("merge_id",), column="before", aad=lambda own: f"empi_merge:{own}".encode()),
    SealedColumn(
        table=review_step,
        key=("review_id", "id"),
        column="note_sealed",
        aad=lambda review, _step: f"empi_review_step:{review}".encode(),
    ),
    SealedColumn(
        table=national_item,
        key=("item_id",),
        column="message_sealed",
        aad=lambda own: f"empi_national_item:{own}".encode(),
    ),
    SealedColumn(
        table=national_inbox,
        key=("notice_id",),
        column="sealed",
        aad=lambda own: f"empi_national_inbox:{own}".encode(),
    ),
)
