"""Shapes of batches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.empi.persons.schemas import Demographics

Kind = Literal["residents", "visit-cards", "physical-cards"]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run found: rows that would open an account, those known already, and refusals by public code."""

    opened: int = 0
    known: int = 0
    bad: int = 0
    reasons: dict[str, int] = {}


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """A batch and how far it is. ``columns``: field and heading."""

    batch_id: str
    kind: str
    state: str
    file_name: str
    encoding: str
    institution_id: str | None
    tag: str | None
    columns: dict[str, str]
    unknown: tuple[str, ...]
    rows: int
    done: int
    opened: int
    known: int
    bad: int
    reasons: dict[str, int]
    checked: Checked | None
    made_by: str
    made_at: datetime
    started_at: datetime | None
    changed_at: datetime


class PreviewColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a file: its heading, masked samples, and the field that it seems to be (empty: none)."""

    heading: str
    field: str
    samples: tuple[str, ...]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a file that have a heading."""

    columns: tuple[PreviewColumn, ...]


class BadRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A refused row: its number in the file, the public code, the reason in two languages; name and number masked.

    ``cells`` is the row as it was written, for those who may see it.
    """

    row: int
    code: str
    zh: str
    en: str
    name: str
    id_number: str
    cells: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"BadRow(row={self.row}, code={self.code!r}, name={self.name!r})"


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """A county of a list: how many it names, who has a card, who used it at least once, and refused rows."""

    region_code: str
    region: str
    listed: int
    made: int
    used: int
    bad: int


class VisitCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resident with the visit card of the institution that asks. The card was given out on a certificate read."""

    visit_card: Annotated[str, Meta(pattern="^[0-9A-Za-z-]{1,40}(?!\\n)$", examples=["0012345678"])]
    resident: Demographics
    real_name: Literal["certificate_read", "stated"] = "stated"


class VisitCardWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The number of a visit card of the institution that asks."""

    visit_card: Annotated[str, Meta(pattern="^[0-9A-Za-z-]{1,40}(?!\\n)$", examples=["0012345678"])]


class VisitCardAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The electronic health card behind a visit card. ``opened``: it was made just now."""

    vuid: str
    state: str
    name: str
    mpi_ref: str
    static_code: str
    opened: bool
