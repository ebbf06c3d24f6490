"""Wire shapes of bindings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.kit.masking import BankCard, Secret

InsuranceKind = Literal["social_card", "cooperative_card"]
CertificateNumber = Annotated[str, Meta(min_length=4, max_length=40, examples=["11010519491231002X"])]


class NewBankCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bank card to bind. ``phone`` is the one that the bank knows; the resident's own when it is left out."""

    number: Annotated[str, Meta(min_length=12, max_length=30, examples=["6222021700000000012"])]
    phone: Annotated[str, Meta(pattern=r"^\+?[0-9-]{7,20}(?!\n)$", examples=["13800138000"])] | None = None


class ChallengeAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bank sent: the code of an SMS, or the small amount that arrived, in fen."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{6}(?!\n)$", examples=["123456"])] | None = None
    amount_fen: Annotated[int, Meta(ge=1, le=99, examples=[37])] | None = None


class Unbinding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proof that the holder herself takes a card off: her certificate and the whole number of the card."""

    id_type: Annotated[str, Meta(pattern=r"^[0-9]{2}(?!\n)$", examples=["01"])]
    id_number: CertificateNumber
    number: Annotated[str, Meta(min_length=8, max_length=30)]


class NewInsuranceCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A social-insurance card or 合疗证 to bind, with its password, which goes to the insurer and nowhere else."""

    kind: InsuranceKind
    number: Annotated[str, Meta(min_length=8, max_length=30, examples=["61A123456"])]
    password: Annotated[
        str, Meta(pattern=r"^[\x21-\x7e]{4,20}(?!\n)$", description="checked by the insurer, never kept")
    ]

    def __repr__(self) -> str:
        """Show nothing of it."""
        return f"NewInsuranceCard(kind={self.kind!r})"


class BankCardView(msgspec.Struct, frozen=True, kw_only=True):
    """A bound bank card. ``number`` is masked; ``pending``: the bank was asked and has not answered yet."""

    binding_id: str
    state: Literal["started", "confirmed", "failed", "expired", "ended"]
    pending: bool
    number: str
    bank: str
    bank_zh: str
    bank_en: str
    kind: Literal["debit", "credit"]
    challenge: str
    sent_to: str
    tries_left: int | None
    expires_at: datetime | None
    is_default: bool
    reason: str
    made_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None


class BankCards(msgspec.Struct, frozen=True, kw_only=True):
    """The bank cards of an account: those in force and on their way first, then what became of the others."""

    vuid: str
    cards: list[BankCardView]


class InsuranceCardView(msgspec.Struct, frozen=True, kw_only=True):
    """A bound insurance card: what is insured and where (GB/T 2260)."""

    binding_id: str
    kind: InsuranceKind
    state: Literal["started", "confirmed", "failed", "expired", "ended"]
    pending: bool
    number: str
    insurance: str
    place: str
    reason: str
    made_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None


class InsuranceCards(msgspec.Struct, frozen=True, kw_only=True):
    """The insurance cards of an account."""

    vuid: str
    cards: list[InsuranceCardView]


class BoundCard(msgspec.Struct, frozen=True, kw_only=True):
    """A bank card in force as the payments room uses it; number and agreement mask themselves."""

    binding_id: str
    bank: str
    kind: str
    number: BankCard
    agreement_no: Secret
    is_default: bool
