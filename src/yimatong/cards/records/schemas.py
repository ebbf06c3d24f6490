"""Wire shapes of the records of issue and verification, and what to look for among them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

COUNT_BY: Final = (
    *("hour", "day", "month", "institution", "terminal", "front"),
    *("event", "kind", "purpose", "result"),
)
"""What records can be counted by; ``hour``, ``day`` and ``month`` are Beijing time."""

Identifier = Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}(?!\\n)$")]
Vuid = Annotated[str, Meta(pattern="^[0-9A-F]{64}(?!\\n)$")]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; None means any. ``since`` is inside the span, ``until`` is not.

    ``vuids`` are the numbers of one card and of those that were joined to it.
    """

    since: datetime | None = None
    until: datetime | None = None
    event: str | None = None
    code_kind: str | None = None
    result: str | None = None
    refused: bool = False
    purpose: str | None = None
    institution_id: str | None = None
    caller_id: str | None = None
    front_id: str | None = None
    vuids: tuple[str, ...] = ()
    record_id: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A row of 二维码生成及验证记录. ``took_ms`` is how long the verification took; None for an issue."""

    record_id: str
    vuid: str
    at: datetime
    event: str
    code_kind: str
    purpose: str
    result: str
    caller_id: str
    institution_id: str | None
    front_id: str | None
    request_id: str
    key_version: int | None
    took_ms: int | None


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """Records, newest first. ``next`` is the cursor of the page that follows, empty at the end.

    A page may hold fewer records than asked for, even none, and still name a next one: one request looks through a
    limited part of the archive. Go on until ``next`` is empty.
    """

    records: list[Record]
    next: str


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """One group: its values in the order of the table's ``by`` (empty where a record has none), and its number."""

    values: tuple[str, ...]
    number: int


class CountTable(msgspec.Struct, frozen=True, kw_only=True):
    """Records counted by some of their fields, in the order of the values."""

    by: tuple[str, ...]
    counts: list[Count]
    total: int


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sealed Parquet file of the archive: a Beijing day.

    ``columns`` are SHA-256 over a column's values in the order of (at, record_id), line by line; ``sha256`` and
    ``sm3`` are over the sealed file.
    """

    name: str
    rows: int
    first_at: datetime
    last_at: datetime
    size: int
    sha256: str
    sm3: str
    columns: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in a month's folder of the archive, as its ``manifest.json``."""

    month: str
    rows: int
    parts: list[Part]
    form: Literal["yimatong-records-1"] = "yimatong-records-1"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One institution in the last minute: its verifications, its refusals, and the time 95 of 100 stayed below."""

    institution_id: str | None
    number: int
    refused: int
    p95_ms: int | None
