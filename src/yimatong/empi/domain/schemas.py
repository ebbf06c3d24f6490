"""Shapes of the domain index."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

Kind = Literal["newborn", "unidentified", "no_certificate"]


class EntryKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a domain knows a resident by: the same again is the same entry."""

    domain: str
    known_as: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A resident of the domain index. ``domain_id`` stands where others have a certificate number (type 98)."""

    mpi: UUID
    domain_id: str
    kind: Kind
    birth_date_estimated: bool
    state: str
