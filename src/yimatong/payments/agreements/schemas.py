"""Wire shapes of payment agreements."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.kit.money import AMOUNT_FEN_MAX

Fen = Annotated[int, Meta(ge=1, le=AMOUNT_FEN_MAX)]
SINGLE_LIMIT_FEN = 20_000
DAILY_LIMIT_FEN = 100_000
"""200 yuan a payment and 1,000 yuan a day, where the resident says nothing."""


class NewAgreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a resident agrees to. ``binding_id``: the bound bank card of a ``bank_card`` agreement."""

    vuid: Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]
    institution_id: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[!-~]+(?!\\n)$")]
    channel: Annotated[str, Meta(pattern="^[a-z]{1,16}(?!\\n)$")]
    kind: Literal["password_free", "bank_card"]
    single_limit_fen: Fen = SINGLE_LIMIT_FEN
    daily_limit_fen: Fen = DAILY_LIMIT_FEN
    binding_id: Annotated[str, Meta(pattern="^(bkc_[0-9a-f]{32})?(?!\\n)$")] = ""
    return_url: Annotated[str, Meta(max_length=512, pattern="^(https?://[!-~]+)?(?!\\n)$")] = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the payer answers to a challenge."""

    answer: Annotated[str, Meta(pattern="^[0-9]{4,8}(?!\\n)$")]


class NewPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment under an agreement. ``answer``: the SMS code of this payment, where one was sent."""

    order_no: Annotated[str, Meta(pattern=r"^P[0-9]{20}(?!\n)$")]
    answer: Annotated[str, Meta(pattern="^([0-9]{4,8})?(?!\\n)$")] = ""


class AgreementView(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement and how far it is. ``state``: waiting, agreed, ending, refused, ended.

    While it waits: the page to agree on (``redirect_url``), or where a code was sent (``challenge``).
    """

    agreement_id: str
    vuid: str
    institution_id: str
    channel: str
    kind: str
    state: str
    reason: str
    single_limit_fen: int
    daily_limit_fen: int
    redirect_url: str
    challenge: str
    agreed_at: datetime | None
    ended_at: datetime | None


class Agreements(msgspec.Struct, frozen=True, kw_only=True):
    """A resident's agreements, newest first."""

    agreements: list[AgreementView]
