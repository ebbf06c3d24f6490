"""What a record of a person looks like at rest: the sealed blob, its binding to her, the row of a golden record."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple
from uuid import UUID

import msgspec


def aad(mpi: UUID) -> bytes:
    """Bind a sealed blob to its person, so that blobs cannot be moved between rows."""
    return b"empi_person:" + mpi.bytes


class SealedFacts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one sealed blob holds, in this order.

    ``id_number`` identifies (or is a domain id, type 98); a number that breaks its certificate's rules stands as
    ``said_type`` and ``said_number``, a telephone number that is none as ``said_phone``. ``numbers``: every further
    number of the record, as (domain, number). ``estimated``: the birth date is a guess. Sex and birth date of a
    contribution stand in columns of their own.
    """

    name: str
    id_type: str
    id_number: str
    phone: str
    address: str
    nation: str = ""
    marital: str = ""
    occupation: str = ""
    mother_name: str = ""
    estimated: bool = False
    said_type: str = ""
    said_number: str = ""
    said_phone: str = ""
    numbers: tuple[tuple[str, str], ...] = ()


class Row(NamedTuple):
    """The columns of ``empi_person`` that follow from a golden record; ``tokens`` is an array literal."""

    mpi: UUID
    sealed: bytes
    tokens: str
    sex: str
    birth_date: date | None
    region_code: str | None
    marital: str | None
