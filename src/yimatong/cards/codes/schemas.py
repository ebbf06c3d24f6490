"""Wire shapes of codes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.cards.codec import TTL_S_MAX, CodeKind, Purpose

Vuid = Annotated[str, Meta(pattern="^[0-9A-F]{64}(?!\\n)$", description="electronic health card id, 64 upper-case hex")]


class NewCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code to be issued for an account."""

    vuid: Vuid
    kind: Literal["static", "dynamic"] = "dynamic"
    code_class: Annotated[str, Meta(pattern="^(general|visit|records|payment)(?!\\n)$")] = "general"
    ttl_s: Annotated[int, Meta(ge=15, le=TTL_S_MAX, description="seconds, rounded down to a multiple of 5")] = 60
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
