"""Wire shapes of families."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Consent = Literal["birth", "guardianship_document", "certificate_read", "written"]


class NewRelation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member for a guardian's phone, what the member is to the guardian, and how the right was shown.

    ``birth`` and ``guardianship_document`` (birth certificate, household register, court paper) are for minors,
    ``certificate_read`` (the adult member is present) and ``written`` (a signed form is kept) for adults.
    """

    member_vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]
    relation: Annotated[str, Meta(pattern=r"^[0-9]{2}(?!\n)$", description="GB/T 4761-2008", examples=["20"])]
    consent: Consent


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """One relation as a guardian's app sees it; who manages an account is shown to it masked.

    ``shows_code``: the guardian may show the member's codes now.
    """

    relation_id: str
    role: Literal["member", "guardian"]
    vuid: str
    name: str
    relation: str
    relation_zh: str
    kind: str
    state: str
    shows_code: bool
    shows_until: date | None
    since: datetime


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The members whom an account manages, and its own guardians."""

    vuid: str
    relations: list[Relation]


class EndedRelation(msgspec.Struct, frozen=True, kw_only=True):
    """A relation that ended."""

    relation_id: str
    ended_at: datetime
