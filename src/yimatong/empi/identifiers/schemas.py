"""Wire shapes of identifier domains, media and cross indexes (PIX)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.empi.registration.schemas import SourceNumber

DomainKind = Literal["certificate", "card", "visit_card", "source", "region", "national"]


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """An identifier domain (标识域) with its rules.

    ``one_per_person``: a person has one number of it at a time. ``reusable``: a number whose cross index ended may be
    given to somebody else. ``valid_days``: a number counts so long. ``trusted``: institutions and apps that read its
    numbers unmasked and enter them, beside the institution whose domain it is.
    """

    code: str
    oid: str | None
    kind: DomainKind
    name_zh: str
    name_en: str
    id_type: str | None
    card_type: str | None
    institution_id: str | None
    region_code: str | None
    format: str
    check_rule: str
    one_per_person: bool
    reusable: bool
    valid_days: int | None
    trusted: tuple[str, ...]
    state: str
    version: int


class Medium(msgspec.Struct, frozen=True, kw_only=True):
    """A card or certificate (卡索引). ``number`` and ``chip_number`` are masked unless the caller may see them."""

    medium_id: str
    kind: str
    number: str
    chip_number: str
    status: Literal["active", "lost", "replaced", "cancelled"]
    issuer: str
    issued_on: date | None
    valid_to: date | None


class CrossIndex(msgspec.Struct, frozen=True, kw_only=True):
    """One relation between a person and a number (人卡关系交叉索引)."""

    relation_id: str
    domain: str
    number: str
    mpi_ref: str
    medium: Medium | None
    application_domain: str
    state: str
    since: datetime
    ended_at: datetime | None


class ToResolve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """获取交叉索引: a number of one domain; ``targets`` are the domains whose numbers are wanted, empty for all."""

    source: SourceNumber
    targets: Annotated[tuple[str, ...], Meta(max_length=20)] = ()


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Whose number it is, and her numbers in the domains asked for."""

    mpi_ref: str
    identifiers: tuple[SourceNumber, ...]
