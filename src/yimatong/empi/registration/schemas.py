"""Wire shapes of registration by information providers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.empi.identifiers.schemas import SourceNumber

Text = Annotated[str, Meta(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")]


class Stated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider says of a resident. Everything but the name may be missing: the index takes what is known.

    A number that breaks its certificate's rules is kept as said, and identifies nobody.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100, examples=["张三"])]
    sex: Annotated[str, Meta(pattern="^[0129](?!\\n)$", description="GB/T 2261.1", examples=["1"])] = "0"
    birth_date: date | None = None
    birth_date_estimated: bool = False
    id_type: Annotated[str, Meta(pattern="^([0-9]{2})?(?!\\n)$", description="WS 364.3 CV02.01.101")] = ""
    id_number: Annotated[str, Meta(max_length=40)] = ""
    phone: Annotated[str, Meta(max_length=30)] = ""
    address: Text = ""
    nation: Annotated[str, Meta(pattern="^([0-9]{2})?(?!\\n)$", description="民族 GB/T 3304")] = ""
    marital: Annotated[str, Meta(pattern="^([0-9]{2})?(?!\\n)$", description="GB/T 2261.2")] = ""
    occupation: Annotated[str, Meta(max_length=50)] = ""
    mother_name: Annotated[str, Meta(max_length=100)] = ""


class PersonToRegister(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record of a provider: its own number, what it says, and further numbers of the same resident.

    The same ``source`` again is an update of the same record.
    """

    source: SourceNumber
    resident: Stated
    identifiers: Annotated[tuple[SourceNumber, ...], Meta(max_length=20)] = ()
    real_name: Literal["certificate_read", "window", "stated"] = "stated"


Outcome = Literal["created", "linked", "review", "updated"]
"""``created``: a new person; ``linked``: a person whom the index knew; ``review``: a new person for now, a steward
judges whether she is a known one; ``updated``: the record was known."""


class RegisteredPerson(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a record. ``mpi_ref``: the person's reference for this caller.

    ``domain_id``: her number in the domain index while no certificate identifies her, else empty.
    """

    mpi_ref: str
    outcome: Outcome
    method: Literal["certificate", "probability", "source", "none"]
    probability: float | None
    review_id: str
    domain_id: str
    version: int
