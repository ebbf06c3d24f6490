"""Wire shapes of insurance parts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_Line = "^[^\\x00-\\x1f\\x7f]+(?!\\n)$"


class NewLeg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose insurance is asked, by what she shows. Personal data: stored sealed only.

    ``credential``: ``ecert`` (医保电子凭证 or settlement code), ``id`` (her certificate), ``card`` (social-insurance
    card or 合疗证), ``policy`` (a commercial policy).
    """

    channel: Annotated[str, Meta(pattern="^[a-z]{1,16}(?!\\n)$")]
    name: Annotated[str, Meta(min_length=1, max_length=50, pattern=_Line)]
    id_type: Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$")]
    id_number: Annotated[str, Meta(min_length=1, max_length=40, pattern="^[!-~]+(?!\\n)$")]
    credential: Literal["ecert", "id", "card", "policy"] = "id"
    credential_no: Annotated[str, Meta(max_length=320, pattern="^[!-~]*(?!\\n)$")] = ""
    visit_no: Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9_.-]*(?!\\n)$")] = ""


class LegView(msgspec.Struct, frozen=True, kw_only=True):
    """What an insurer pays of an order. ``state``: presettled, settling, settled, reversed, dropped."""

    part: str
    channel: str
    amount_fen: int
    components: Mapping[str, int]
    state: str
    expires_at: datetime | None


class SharedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How an order is shared: the parts of insurers, and the payer's own."""

    order_no: str
    amount_fen: int
    cash_fen: int
    legs: list[LegView]
