"""What a provider says of a person, and what the index answers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from yimatong.empi.records import SealedFacts as SealedFacts  # noqa: PLC0414 -- offered here as well
from yimatong.kit.masking import Address, IdNumber, PersonName, Phone


class Demographics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """特征值 (number, type, name, sex) and what goes with them."""

    name: Annotated[str, Meta(min_length=1, max_length=50, examples=["张三丰"])]
    sex: Annotated[str, Meta(pattern="^[0129](?!\\n)$", description="GB/T 2261.1", examples=["1"])]
    birth_date: Annotated[date, Meta(examples=[date(1949, 12, 31)])]
    id_type: Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$", description="WS 364.3 CV02.01.101", examples=["01"])]
    id_number: Annotated[str, Meta(min_length=4, max_length=40, examples=["11010519491231002X"])]
    phone: Annotated[str, Meta(pattern=r"^\+?[0-9-]{7,20}(?!\n)$", examples=["13800138000"])]
    address: Annotated[str, Meta(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")] = ""
    nation: Annotated[str, Meta(pattern=r"^([0-9]{2})?(?!\n)$", description="民族 GB/T 3304")] = ""
    marital: Annotated[str, Meta(pattern=r"^([0-9]{2})?(?!\n)$", description="GB/T 2261.2")] = ""
    occupation: Annotated[str, Meta(max_length=50, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")] = ""


class RealNameMark(msgspec.Struct, frozen=True, kw_only=True):
    """实名制标识: how it was proven who the resident is. Level 3 certificate read, 2 outside check, 1 stated.

    ``trace_no`` is the number under which the outside party answered.
    """

    method: str
    level: int
    at: datetime
    trace_no: str = ""


class PersonRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A person, unsealed. The texts mask themselves in logs and pages. ``birth_date`` is None when nobody said it."""

    mpi: UUID
    name: PersonName
    sex: str
    birth_date: date | None
    id_type: str
    id_number: IdNumber
    phone: Phone
    address: Address
    state: str
    nation: str = ""
    marital: str = ""
    occupation: str = ""
    mother_name: PersonName = PersonName("")
    deceased_on: date | None = None
