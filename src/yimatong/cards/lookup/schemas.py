"""Wire shapes of looking accounts up, and of their history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.cards.certificates.schemas import OldCertificate


class NameAndPhone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole name and a whole phone number."""

    name: Annotated[str, Meta(min_length=1, max_length=50)]
    phone: Annotated[str, Meta(pattern=r"^\+?[0-9-]{7,20}(?!\n)$")]


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for: exactly one of these. Always in the body: no address ever holds personal data."""

    vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")] | None = None
    mpi_ref: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}(?!\n)$")] | None = None
    certificate: OldCertificate | None = None
    name_and_phone: NameAndPhone | None = None
    after: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?(?!\n)$")] = ""
    limit: Annotated[int, Meta(ge=1, le=50)] = 20


class FoundAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One account, masked. ``vuid`` is empty where this caller does not hold the account."""

    vuid: str
    held: bool
    state: str
    name: str
    sex: str
    id_type: str
    id_number: str
    phone: str
    opened_at: datetime


class FoundAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of accounts; ``next`` goes into ``after`` for the next page, empty when this was the last one."""

    accounts: list[FoundAccount]
    next: str


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact before and after a change, masked."""

    name: str
    before: str
    after: str


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Who changed what, when, from where."""

    event_id: str
    vuid: str
    what: str
    at: datetime
    actor: str
    actor_kind: str
    institution_id: str | None
    front_id: str | None
    request_id: str
    reason: str
    facts: list[Fact]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an account's history, newest first, under all its VUIDs."""

    vuid: str
    events: list[HistoryEvent]
    next: str
