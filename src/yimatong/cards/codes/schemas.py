"""Wire shapes of codes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.cards.codec import TTL_S_MAX, CodeKind, Purpose

Vuid = Annotated[str, Meta(pattern="^[0-9A-F]{64}(?!\\n)$", description="electronic health card id, 64 upper-case hex")]


class NewCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code to be issued. Without ``ttl_s`` it lives as long as the application's policy says, or 60 s."""

    vuid: Vuid
    kind: Literal["static", "dynamic", "offline"] = "dynamic"
    code_class: Annotated[str, Meta(pattern="^(general|visit|records|payment)(?!\\n)$")] = "general"
    ttl_s: Annotated[int, Meta(ge=15, le=TTL_S_MAX, description="seconds, rounded down to a multiple of 5")] | None = (
        None
    )
    image: Literal["none", "svg", "png"] = "none"


class IssuedCode(msgspec.Struct, frozen=True, kw_only=True):
    """An issued code. ``image`` is an SVG document, or a PNG in base 64."""

    record_id: str
    kind: CodeKind
    text: str
    issued_at: datetime
    expires_at: datetime | None
    image: str = ""


class CodeToVerify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reading terminal read, and what for."""

    code: Annotated[str, Meta(min_length=1, max_length=400)]
    purpose: Purpose
    med_step: Annotated[str, Meta(pattern="^[0-9]{6}(?!\\n)$", description="诊疗环节代码")] = "000000"
    visit_no: Annotated[
        str,
        Meta(pattern="^[A-Za-z0-9._-]{0,40}(?!\\n)$", description="就诊流水号: a code of several uses serves one"),
    ] = ""


class Resident(msgspec.Struct, frozen=True, kw_only=True):
    """The resident behind a code. After a static code only the masked name and the sex are filled."""

    name: str
    sex: str
    birth_date: date | None = None
    id_type: str = ""
    id_number: str = ""
    phone: str = ""
    mpi_ref: str = ""


class VerifiedCode(msgspec.Struct, frozen=True, kw_only=True):
    """A genuine code, accepted and recorded."""

    record_id: str
    vuid: str
    kind: CodeKind
    purpose: Purpose
    verified_at: datetime
    resident: Resident


class UsedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A verification as other rooms read it."""

    record_id: str
    vuid: str
    institution_id: str | None
    purpose: str
    at: datetime


class CodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the records of issue and verification."""

    record_id: str
    vuid: str
    at: datetime
    event: str
    code_kind: str
    purpose: str
    result: str
    caller_id: str
    institution_id: str | None


class RevokeCodes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Revoke every code of an account that was issued so far."""

    vuid: Vuid


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """From when on new codes are good."""

    vuid: str
    codes_valid_from: datetime


class OfflineKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What a terminal reads offline codes by. Moments are Unix seconds; ``good_until`` is a day after ``made_at``.

    ``keys``: public keys (04 || x || y, hex) by kid. ``revoked``: since when an account's codes are good, by the first
    16 bytes of SM3("YMT-REVOKED-1" || VUID) in hex.
    """

    issuer: str
    made_at: int
    good_until: int
    keys: dict[str, str]
    revoked_kids: list[int]
    revoked: dict[str, int]


class OfflineBundle(msgspec.Struct, frozen=True, kw_only=True):
    """``content`` is the JSON text of the keys and revocations; SM2 signs ``YMT-OFFLINE-LIST-1`` and that text."""

    content: str
    kid: int
    signature: str


class OfflineSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that a terminal accepted without the network, and when by its own clock."""

    code: Annotated[str, Meta(min_length=1, max_length=400)]
    purpose: Purpose
    seen_at: Annotated[datetime, Meta(tz=True)]


class OfflineUploads(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a terminal saw since it told last; a part of it may be told again."""

    seen: Annotated[list[OfflineSeen], Meta(min_length=1, max_length=200)]


class OfflineUploaded(msgspec.Struct, frozen=True, kw_only=True):
    """One result a sighting, in order: ``recorded``, ``repeated``, ``double_use``, or the public code of a refusal."""

    results: list[str]
