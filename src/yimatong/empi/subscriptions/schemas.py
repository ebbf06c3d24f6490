"""Wire shapes of subscriptions and of what subscribers are told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Event = Literal["registered", "updated", "merged", "unmerged", "cancelled", "restored", "linked", "unlinked"]
Payload = Literal["native", "fhir-json", "fhir-xml"]
EVERY_EVENT: tuple[Event, ...] = (
    *("registered", "updated", "merged", "unmerged"),
    *("cancelled", "restored", "linked", "unlinked"),
)


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of what, and where: one person's changes, those of a domain's persons, or all.

    ``mpi_ref`` goes with ``person``, ``domain`` with ``domain``.
    """

    scope: Literal["person", "domain", "all"]
    url: Annotated[str, Meta(min_length=1, max_length=500, examples=["https://his.example.com/persons"])]
    mpi_ref: Annotated[str, Meta(pattern="^([0-9a-f]{32})?(?!\\n)$")] = ""
    domain: Annotated[str, Meta(pattern="^[0-9A-Za-z._:-]{0,100}(?!\\n)$")] = ""
    events: Annotated[tuple[Event, ...], Meta(min_length=1, max_length=8)] = EVERY_EVENT
    payload: Payload = "native"


class ResidentSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resident's own wish to be told, by her app, of what happens to her record."""

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    events: Annotated[tuple[Event, ...], Meta(min_length=1, max_length=8)] = EVERY_EVENT


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as its owner sees it."""

    subscription_id: str
    subscriber: Literal["caller", "resident"]
    scope: Literal["person", "domain", "all"]
    mpi_ref: str
    domain: str
    events: tuple[str, ...]
    payload: Payload
    url: str
    state: Literal["active", "paused", "ended"]
    created_at: datetime
    ended_at: datetime | None
    version: int


class Subscriptions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a caller's subscriptions, the oldest first; ``next_after`` is empty on the last one."""

    subscriptions: tuple[Subscription, ...]
    next_after: str


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What an outbox message says of one change to one subscriber; ids are the index's own and never leave it."""

    subscription_id: str
    event: str
    mpi: UUID
    other_mpi: UUID | None = None
    domain: str | None = None
    version: int = 0
    at: datetime


class PersonChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber is told (``native``): which person, as it knows her, and what happened; no personal data.

    ``other_mpi_ref``: for ``merged`` the survivor, for ``unmerged`` whom she was taken out of; else empty.
    """

    message_id: int
    subscription_id: str
    event: str
    mpi_ref: str
    other_mpi_ref: str
    domain: str
    version: int
    at: datetime
