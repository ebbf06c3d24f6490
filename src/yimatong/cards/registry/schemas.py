"""Wire shapes of physical cards, their deliveries, and of identification by any medium."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from yimatong.cards.accounts.schemas import RealNameMethod
from yimatong.cards.codec import Purpose
from yimatong.cards.codes.schemas import Resident
from yimatong.empi.persons.schemas import Demographics
from yimatong.standards.codes import Term

CARD_TYPES: Final[Mapping[str, Term]] = MappingProxyType(
    {
        "01": Term("居民健康卡", "resident health card"),
        "02": Term("社会保障卡", "social insurance card"),
        "03": Term("新农合医疗证（合疗证）", "rural cooperative medical card"),
        "04": Term("医疗机构就诊卡", "hospital visit card"),
        "99": Term("其他实体卡", "other physical card"),
    }
)
"""卡类型: what plastic the registry keeps. 居民健康卡 is the card of 居民健康卡技术规范 (WS/T 543). The numbering is
the platform's own; dialects of institutions are translated at their front."""

CardNumber = Annotated[
    str, Meta(pattern="^[0-9A-Za-z-]{4,40}(?!\\n)$", description="卡号 as printed", examples=["610100200001234567"])
]
ChipNumber = Annotated[str, Meta(pattern="^[0-9A-Za-z-]{4,40}(?!\\n)$", description="芯片号 as read from the chip")]
CardType = Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$", description="卡类型", examples=["01"])]
Issuer = Annotated[
    str,
    Meta(pattern="^[0-9A-Z-]{4,22}(?!\\n)$", description="发卡机构代码 (GB 11714 or GB 32100)", examples=["435628013"]),
]


class NewCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A physical card that is issued now (实时制发卡). ``with_account`` opens the electronic card with it."""

    card_number: CardNumber
    card_type: CardType
    issuer: Issuer
    holder: Demographics
    real_name: RealNameMethod
    chip_number: ChipNumber | None = None
    with_account: bool = False


class CardChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """挂失 ``lost``, 解挂 ``issued``, 注销 ``cancelled``."""

    state: Literal["issued", "lost", "cancelled"]


class Replacement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """补换卡: the card that takes the place of an older one, of the same type and holder."""

    card_number: CardNumber
    chip_number: ChipNumber | None = None
    issuer: Issuer | None = None


class CardSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Find a card by its number and type, or by its chip."""

    card_number: CardNumber | None = None
    card_type: CardType | None = None
    chip_number: ChipNumber | None = None


class CardView(msgspec.Struct, frozen=True, kw_only=True):
    """A physical card. ``number_end`` is all of its number that is told; ``vuid`` is empty without an account."""

    card_id: str
    card_type: str
    number_end: str
    has_chip: bool
    issuer: str
    state: str
    vuid: str
    replaced_by: str
    issued_at: datetime
    changed_at: datetime


class AccountCard(msgspec.Struct, frozen=True, kw_only=True):
    """A physical card as its account knows it."""

    card_id: str
    card_type: str
    number_end: str
    issuer: str
    state: str
    issued_at: datetime


class AccountCards(msgspec.Struct, frozen=True, kw_only=True):
    """The physical cards of an account, newest first."""

    vuid: str
    cards: list[AccountCard]


class ArrivedCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of a delivery, as the card-management system wrote it; it is judged when it is registered.

    ``line`` is its place in the file or list, from 1. Texts are taken as they come, up to their lengths.
    """

    line: Annotated[int, Meta(ge=1, le=2_000_000_000)]
    card_number: Annotated[str, Meta(max_length=64)]
    card_type: Annotated[str, Meta(max_length=8)]
    chip_number: Annotated[str, Meta(max_length=64)] = ""
    issuer: Annotated[str, Meta(max_length=32)] = ""
    name: Annotated[str, Meta(max_length=200)]
    sex: Annotated[str, Meta(max_length=8)]
    birth_date: Annotated[str, Meta(max_length=10, description="yyyy-mm-dd")]
    id_type: Annotated[str, Meta(max_length=8)]
    id_number: Annotated[str, Meta(max_length=64)]
    phone: Annotated[str, Meta(max_length=32)] = ""
    address: Annotated[str, Meta(max_length=400)] = ""
    real_name: Literal["certificate_read", "stated"] = "stated"


DeliveryName = Annotated[
    str, Meta(pattern="^[0-9A-Za-z_.-]{1,64}(?!\\n)$", description="name of the delivery", examples=["2026-11-22"])
]


class Delivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of a day's delivery (批量制卡); a large one comes in several requests under one name."""

    delivery: DeliveryName
    rows: Annotated[list[ArrivedCard], Meta(min_length=1, max_length=100)]


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that could not be registered, and why."""

    line: int
    number_end: str
    code: str
    zh: str
    en: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """How far a delivery is. ``refused_rows`` are the first refused ones by line, 500 at most."""

    delivery: str
    received: int
    waiting: int
    done: int
    refused: int
    refused_rows: list[RefusedRow]


class ToIdentify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one medium: ``code`` | ``card_number`` + ``card_type`` | ``chip_number`` | certificate with name."""

    purpose: Purpose
    code: Annotated[str, Meta(min_length=1, max_length=400)] | None = None
    card_number: CardNumber | None = None
    card_type: CardType | None = None
    chip_number: ChipNumber | None = None
    id_type: Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$")] | None = None
    id_number: Annotated[str, Meta(min_length=4, max_length=40)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    med_step: Annotated[str, Meta(pattern="^[0-9]{6}(?!\\n)$", description="诊疗环节代码")] = "000000"


Presented = Literal["code_dynamic", "code_static", "card_chip", "card_number", "certificate"]


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """The resident, in one shape for every medium.

    ``presented`` says what was shown, and so how much of ``resident`` is told. ``vuid`` and ``account_state`` are empty
    for a resident without an electronic card; ``card_state`` is the state of the card that was shown, or of the
    resident's newest physical card, empty without one.
    """

    record_id: str
    presented: Presented
    purpose: Purpose
    identified_at: datetime
    vuid: str
    account_state: str
    card_type: str
    card_state: str
    resident: Resident
