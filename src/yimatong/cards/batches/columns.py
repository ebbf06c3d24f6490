"""Which column of a file means what: by the names that lists of hospitals and counties use, or by a mapping given."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from yimatong.cards.errors import BatchColumnsMissing, BatchOptionInvalid

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("姓名", "患者姓名", "居民姓名", "名字", "name", "full_name", "patient_name"),
    "id_number": (
        *("证件号码", "身份证号", "身份证号码", "公民身份号码", "居民身份证号码", "证件号", "身份证", "证件编号"),
        *("id_number", "id_no", "idno", "id_card", "certificate_number"),
    ),
    "id_type": ("证件类型", "证件类别", "证件种类", "id_type", "certificate_type"),
    "sex": ("性别", "sex", "gender"),
    "birth_date": ("出生日期", "出生年月日", "生日", "birth_date", "birthday", "date_of_birth", "dob"),
    "phone": ("手机号", "手机号码", "手机", "联系电话", "电话", "电话号码", "联系方式", "phone", "mobile", "telephone"),
    "address": ("住址", "地址", "家庭住址", "现住址", "户籍地址", "居住地址", "address"),
    "region": (
        "行政区划",
        "行政区划代码",
        "区县代码",
        "县区代码",
        "所属区县",
        "区县",
        "region",
        "region_code",
        "county",
    ),
    "visit_card": (
        "就诊卡号",
        "就诊卡",
        "诊疗卡号",
        "病历号",
        "卡号",
        "visit_card",
        "visit_card_number",
        "card_number",
    ),
    "card_number": ("健康卡号", "居民健康卡号", "卡号", "card_number"),
    "card_type": ("卡类型", "卡类别", "card_type"),
    "chip_number": ("芯片号", "卡芯片号", "chip_number"),
    "issuer": ("发卡机构", "发卡机构代码", "issuer"),
}
"""Field and the headings that mean it; compared without blanks, marks, brackets and case."""

_PERSON: Final = ("name", "id_number", "id_type", "sex", "birth_date", "phone", "address")

KINDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "residents": ((*_PERSON, "region"), ("name", "id_number", "phone")),
    "visit-cards": ((*_PERSON, "visit_card"), ("name", "id_number", "phone", "visit_card")),
    "physical-cards": (
        (*_PERSON, "card_number", "card_type", "chip_number", "issuer"),
        ("name", "id_number", "phone", "card_number", "card_type"),
    ),
}
"""Kind of batch: the fields that it knows, and those that it cannot do without."""


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
    """Field to column (from 0), and the headings that mean nothing here."""

    columns: dict[str, int]
    unknown: tuple[str, ...]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a person chose: headings by field, and the headings that mean nothing though a name is known."""

    headings: dict[str, str] = {}
    unused: tuple[str, ...] = ()

    def fitting(self, heading: Sequence[str]) -> Choice:
        """Return the part that this file has the headings for."""
        there = {_key(text) for text in heading}
        return Choice(
            headings={field: text for field, text in self.headings.items() if _key(text) in there},
            unused=tuple(text for text in self.unused if _key(text) in there),
        )

    def under(self, given: Mapping[str, str]) -> Choice:
        """Return this choice with what is given now put over it."""
        now = {_key(text) for text in given.values()}
        kept = {field: text for field, text in self.headings.items() if _key(text) not in now}
        return Choice(headings={**kept, **given}, unused=tuple(text for text in self.unused if _key(text) not in now))


_NOTHING_CHOSEN: Final = Choice()


def made(kind: str, shown: Sequence[str], fields: Sequence[str]) -> Choice:
    """Return what was chosen for each heading that was shown (empty: nothing).

    Raises:
        BatchOptionInvalid: a field that the kind has not, or one that was chosen twice.
    """
    headings: dict[str, str] = {}
    for text, field in zip(shown, fields, strict=False):
        if field and (field not in KINDS[kind][0] or field in headings):
            name = FIELDS[field][0] if field in FIELDS else field[:40]
            raise BatchOptionInvalid(detail=f"{name}：{headings.get(field, '')}、{text}")
        if field:
            headings[field] = text
    used = set(headings.values())
    return Choice(headings=headings, unused=tuple(text for text in shown if text not in used))


def told_apart(heading: Sequence[str]) -> list[int]:
    """Return the columns that have a heading of their own; of equal ones the first."""
    places = {_key(text): index for index, text in reversed(list(enumerate(heading))) if _key(text)}
    return sorted(places.values())


def guess(kind: str, heading: Sequence[str], chosen: Choice) -> dict[str, int]:
    """Return each field's column as far as one is known; raises BatchOptionInvalid as ``match`` does."""
    if kind not in KINDS:
        raise BatchOptionInvalid(detail=kind)
    fields, _ = KINDS[kind]
    places = {_key(heading[index]): index for index in told_apart(heading)}
    columns: dict[str, int] = {}
    for field, text in chosen.headings.items():
        if field not in fields or _key(text) not in places or places[_key(text)] in columns.values():
            raise BatchOptionInvalid(detail=f"{field}={text}")
        columns[field] = places[_key(text)]
    unused = {_key(text) for text in chosen.unused}
    for field in fields:
        known = next((places[key] for key in map(_key, FIELDS[field]) if key in places and key not in unused), None)
        if field not in columns and known is not None and known not in columns.values():
            columns[field] = known
    return columns


def match(kind: str, heading: Sequence[str], chosen: Choice = _NOTHING_CHOSEN) -> Mapped:
    """Find each field's column; what was chosen goes before the names that are known.

    Raises:
        BatchColumnsMissing: a needed field has no column. BatchOptionInvalid: an unknown kind, field or heading.
    """
    columns = guess(kind, heading, chosen)
    _, needed = KINDS[kind]
    missing = [FIELDS[field][0] for field in needed if field not in columns]
    if missing:
        # a file without a heading begins with somebody's name and number, and those are told to nobody
        named = [text for text in heading if text] if columns else ["?"]
        raise BatchColumnsMissing(columns="、".join(missing), found="、".join(named)[:300])
    unknown = tuple(text for index, text in enumerate(heading) if text and index not in columns.values())
    return Mapped(columns=columns, unknown=unknown)


def _key(text: str) -> str:
    half = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\(.*?\)|[\s*_:\-]", "", half)
