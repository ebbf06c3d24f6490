"""Wire shapes of residents without a certificate."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.empi.domain.schemas import Kind


class NewEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an institution knows of somebody without a valid certificate.

    A newborn: sex, birth date, the mother's VUID (``guardian_vuid``) and ``birth_order`` among twins. An unidentified
    patient: sex and an estimated age. Others: name, sex and birth date. ``local_no`` is the institution's own number
    (admission, emergency); sending the same again gives the same account.
    """

    kind: Kind
    sex: Annotated[str, Meta(pattern=r"^[0129](?!\n)$")]
    name: Annotated[str, Meta(max_length=50)] = ""
    birth_date: date | None = None
    age_estimate: Annotated[int, Meta(ge=0, le=120)] | None = None
    phone: Annotated[str, Meta(pattern=r"^(\+?[0-9-]{7,20})?(?!\n)$")] = ""
    address: Annotated[str, Meta(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")] = ""
    local_no: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{0,40}(?!\n)$")] = ""
    guardian_vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")] | None = None
    relation: Annotated[str, Meta(pattern=r"^[0-9]{2}(?!\n)$", description="GB/T 4761")] = ""
    birth_order: Annotated[int, Meta(ge=1, le=9)] = 1
