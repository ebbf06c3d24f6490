"""Wire shapes of identifier domains, media and cross indexes (PIX)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DomainCode = Annotated[str, Meta(pattern="^[0-9A-Za-z._:-]{1,100}(?!\\n)$", examples=["certificate:01"])]
DomainKind = Literal["certificate", "card", "visit_card", "source", "region", "national"]


class SourceNumber(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of an identifier domain (标识域)."""

    domain: Annotated[str, Meta(pattern="^[0-9A-Za-z._:-]{1,100}(?!\\n)$", examples=["visit-card:H610100001:01"])]
    number: Annotated[str, Meta(min_length=1, max_length=64, examples=["0012345678"])]


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
    status: Literal["active", "frozen", "lost", "replaced", "cancelled"]
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
    targets: Annotated[tuple[DomainCode, ...], Meta(max_length=20)] = ()


class ResolvedNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A number of the person, whole or masked as the caller may see it."""

    domain: str
    number: str
    masked: bool
    application_domain: str
    since: datetime | None


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Whose number it is, and her numbers in the domains asked for."""

    mpi_ref: str
    identifiers: tuple[ResolvedNumber, ...]


class CrossIndexesToMake(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """建立交叉索引: numbers of one resident. She is named by ``mpi_ref``, or by a number that is hers already."""

    identifiers: Annotated[tuple[SourceNumber, ...], Meta(min_length=1, max_length=20)]
    mpi_ref: Annotated[str, Meta(pattern="^([0-9a-f]{32})?(?!\\n)$")] = ""
    known: SourceNumber | None = None


class CrossIndexMade(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one number. ``code``, ``zh``, ``en``: why it was refused, else empty."""

    domain: str
    outcome: Literal["entered", "known", "refused"]
    relation_id: str
    code: str
    zh: str
    en: str


class CrossIndexesMade(msgspec.Struct, frozen=True, kw_only=True):
    """The resident, and what became of each number in the order of the request."""

    mpi_ref: str
    results: tuple[CrossIndexMade, ...]


class CrossIndexToEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """终止交叉索引: the number stands for nobody from now on; its history stays."""

    source: SourceNumber
    reason: Literal["lost", "replaced", "cancelled", "wrong", "other"]


class CrossIndexEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A cross index that ended now."""

    domain: str
    reason: str
    ended_at: datetime


class DomainList(msgspec.Struct, frozen=True, kw_only=True):
    """Identifier domains: those of everybody, then those of one institution."""

    domains: tuple[Domain, ...]


class DomainToMake(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new identifier domain. Its institution and region follow from its code."""

    code: DomainCode
    kind: DomainKind
    name_zh: Annotated[str, Meta(min_length=1, max_length=60)]
    name_en: Annotated[str, Meta(min_length=1, max_length=100)]
    oid: str | None = None
    format: str = ""
    check_rule: str = ""
    one_per_person: bool = False
    reusable: bool = False
    valid_days: int | None = None
    trusted: tuple[str, ...] = ()


class DomainChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator changes of a domain; what is not given stays."""

    name_zh: Annotated[str, Meta(min_length=1, max_length=60)] | msgspec.UnsetType = msgspec.UNSET
    name_en: Annotated[str, Meta(min_length=1, max_length=100)] | msgspec.UnsetType = msgspec.UNSET
    oid: str | msgspec.UnsetType = msgspec.UNSET
    format: str | msgspec.UnsetType = msgspec.UNSET
    check_rule: str | msgspec.UnsetType = msgspec.UNSET
    one_per_person: bool | msgspec.UnsetType = msgspec.UNSET
    reusable: bool | msgspec.UnsetType = msgspec.UNSET
    valid_days: int | msgspec.UnsetType | None = msgspec.UNSET
    trusted: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    state: Literal["active", "suspended"] | msgspec.UnsetType = msgspec.UNSET
