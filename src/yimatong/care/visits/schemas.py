"""Wire shapes of visits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.payments.orders.schemas import Line, SourceNumber


class NewVisit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A visit to register. ``verification_id`` is the ``record_id`` that verifying the code answered."""

    visit_no: SourceNumber
    verification_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]
    vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]
    department: Line
    doctor: Annotated[str, Meta(max_length=64, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")] = ""


class VisitView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered visit."""

    visit_no: str
    institution_id: str
    vuid: str
    department: str
    doctor: str
    visited_at: datetime
    state: str
