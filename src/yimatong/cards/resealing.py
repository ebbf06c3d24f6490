"""What the card room keeps sealed, for the job that seals it anew after a rotation (``access.resealing``)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from yimatong.access.resealing import SealedColumn, SealedFiles
from yimatong.cards.accounts import history
from yimatong.cards.batches import chunks, queries, uploads
from yimatong.cards.bindings import queries as bindings
from yimatong.cards.models import account_event, arrival, batch_chunk, batch_upload_block, binding, physical_card
from yimatong.cards.registry import arrivals, service

PLACES: Final = (
    SealedColumn(table=account_event, key=("vuid", "event_id"), column="sealed", aad=history.aad),
    SealedColumn(table=physical_card, key=("card_id",), column="sealed", aad=service.aad),
    SealedColumn(table=batch_chunk, key=("batch_id", "seq"), column="sealed", aad=chunks.aad),
    SealedColumn(table=batch_chunk, key=("batch_id", "seq"), column="bad_sealed", aad=queries.bad_aad),
    SealedColumn(table=batch_upload_block, key=("upload_id", "seq"), column="sealed", aad=uploads.aad),
    SealedColumn(table=arrival, key=("arrival_id",), column="sealed", aad=arrivals.aad),
    SealedColumn(table=binding, key=("vuid", "binding_id"), column="sealed", aad=bindings.aad),
    SealedColumn(table=binding, key=("vuid", "binding_id"), column="agreement", aad=bindings.agreement_aad),
)


def archived(folder: Path) -> SealedFiles:
    """Return the archive of records of codes, which is counted and not sealed anew.

    Its manifests hold the digests of the sealed files, so a version that sealed one stays until they are given up.
    """
    return SealedFiles(name="archive/records", folder=folder, files="*.sealed", purpose="archive", aad=None)
