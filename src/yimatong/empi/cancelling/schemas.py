"""Wire shapes of cancelling persons."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

Reason = Literal["death", "error", "duplicate", "other"]
Extent = Literal["person", "record"]


class PersonToCancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a resident is cancelled. ``died_on`` goes with ``death``, and only with it."""

    reason: Reason
    died_on: date | None = None


class PersonCancellation(msgspec.Struct, frozen=True, kw_only=True):
    """What was cancelled. ``record``: only what this institution says of her; others still know her."""

    mpi_ref: str
    extent: Extent
    reason: Reason
    cancelled_at: datetime
