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


def match(kind: str, heading: Sequence[str], given: Mapping[str, str] | None = None) -> Mapped:
    """Find each field's column; ``given`` names a heading by field and goes before the names that are known.

    Raises:
        BatchColumnsMissing: a needed field has no column. BatchOptionInvalid: an unknown kind, field or heading.
    """
    if kind not in KINDS:
        raise BatchOptionInvalid(detail=kind)
    fields, needed = KINDS[kind]
    places = {_key(text): index for index, text in reversed(list(enumerate(heading))) if text}
    columns: dict[str, int] = {}
    for field, text in (given or {}).items():
        if field not in fields or _key(text) not in places:
            raise BatchOptionInvalid(detail=f"{field}={text}")
        columns[field] = places[_key(text)]
    for field in fields:
        known = next((places[_key(name)] for name in FIELDS[field] if _key(name) in places), None)
        if field not in columns and known is not None and known not in columns.values():
            columns[field] = known
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
