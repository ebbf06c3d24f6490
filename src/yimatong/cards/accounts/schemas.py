"""Wire shapes of card accounts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.empi.persons.schemas import Demographics
from yimatong.kit.masking import IdNumber, PersonName, Phone

RealNameMethod = Literal["certificate_read", "police_online", "bank_online", "insurance_online", "stated"]


class RealNameProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an online proof needs beside name and number: a bank card for ``bank_online``, else an insurance card.

    ``bank_phone`` is the phone that the bank knows (预留手机号); the resident's own when it is left out.
    """

    bank_card: Annotated[str, Meta(min_length=12, max_length=30, examples=["6222021700000000012"])] | None = None
    bank_phone: Annotated[str, Meta(pattern=r"^\+?[0-9-]{7,20}(?!\n)$", examples=["13800138000"])] | None = None
    insurance_card: Annotated[str, Meta(min_length=8, max_length=30, examples=["61A123456"])] | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """实名制信息 with which a resident applies for a card."""

    resident: Demographics
    real_name: Annotated[RealNameMethod, Meta(description="实名制标识: how the identity is proven")]
    proof: RealNameProof | None = None


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """A card account as its app or institution sees it."""

    vuid: str
    state: str
    name: str
    id_type: str
    id_number: str
    phone: str
    mpi_ref: str
    static_code: str
    real_name_level: int
    opened_at: datetime


Reason = Literal["request", "lost_phone", "lost_card", "suspected_fraud", "deceased", "duplicate", "found", "mistake"]


class StateChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of an account's state, and why."""

    state: Literal["active", "frozen", "cancelled"]
    reason: Annotated[Reason, Meta(description="deceased goes with cancelled and needs died_on")] = "request"
    died_on: date | None = None


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """The state after a change."""

    vuid: str
    state: str
    changed_at: datetime


class PageLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that opens the resident's card page once, within ``expires_in_s`` seconds."""

    url: str
    expires_in_s: int


class CardView(msgspec.Struct, frozen=True, kw_only=True):
    """What the resident's own page shows. Name, number and phone mask themselves."""

    vuid: str
    state: str
    name: PersonName
    id_type: str
    id_number: IdNumber
    phone: Phone
    static_allowed: bool
    opened_at: datetime
