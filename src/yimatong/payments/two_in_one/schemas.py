"""Wire shapes of two-in-one codes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class NewTwoInOne(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A two-in-one code that is wanted. Without ``binding_id`` the resident's default bank card pays."""

    vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]
    binding_id: Annotated[str, Meta(pattern="^(bkc_[0-9a-f]{32})?(?!\\n)$")] = ""
    ttl_s: Annotated[int, Meta(ge=15, le=300)] = 60
    image: Literal["none", "svg", "png"] = "none"
