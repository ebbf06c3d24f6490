"""Wire shapes of updates."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.cards.accounts.schemas import AccountView, RealNameMethod, RealNameProof


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a resident's registration; what is left out stays. The proof is for this very change."""

    real_name: RealNameMethod = "stated"
    proof: RealNameProof | None = None
    name: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    sex: Annotated[str, Meta(pattern=r"^[0129](?!\n)$")] | None = None
    birth_date: date | None = None
    phone: Annotated[str, Meta(pattern=r"^\+?[0-9-]{7,20}(?!\n)$")] | None = None
    address: Annotated[str, Meta(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")] | None = None
    nation: Annotated[str, Meta(pattern=r"^[0-9]{2}(?!\n)$", description="GB/T 3304")] | None = None
    marital: Annotated[str, Meta(pattern=r"^[0-9]{2}(?!\n)$", description="GB/T 2261.2")] | None = None
    occupation: Annotated[str, Meta(max_length=50, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")] | None = None


class Updated(msgspec.Struct, frozen=True, kw_only=True):
    """The account after an update, what was changed, and where it went on to: the person index, the card registry."""

    account: AccountView
    changed: list[str]
    follows: list[str]
