"""Wire shapes of merging a provider's own records."""

from __future__ import annotations

from typing import Literal

import msgspec

from yimatong.empi.identifiers.schemas import SourceNumber


class RecordsToMerge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two records of the caller's institution that are one resident, like HL7 v2 ADT^A40.

    ``retired`` is the number that is used no more; it goes on leading to the resident.
    """

    surviving: SourceNumber
    retired: SourceNumber


class RecordsMerged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of two records.

    ``merged``: both are one person now; ``moved``: the record went to the surviving one's person, while others still
    speak of the old one; ``same``: they were one before; ``review``: a steward judges, nothing changed yet.
    """

    mpi_ref: str
    outcome: Literal["merged", "moved", "same", "review"]
    review_id: str = ""
