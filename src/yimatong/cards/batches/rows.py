"""One row of a list, read as people write lists: a resident in normal form, or why it cannot be one. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from yimatong.cards.batches.columns import FIELDS
from yimatong.cards.batches.reading import BROKEN_NUMBER
from yimatong.cards.errors import RowFieldEmpty, RowFieldInvalid, RowNumberByExcel
from yimatong.empi.persons import identity
from yimatong.empi.persons.schemas import Demographics
from yimatong.standards import id_number as gb11643
from yimatong.standards.codes import CERTIFICATE_TYPES, ID_CARD

_SEXES: Final = {"男": "1", "女": "2", "男性": "1", "女性": "2", "m": "1", "f": "2", "male": "1", "female": "2"} | {
    code: code for code in "0129"
}
_TYPES: Final = {term.zh: code for code, term in CERTIFICATE_TYPES.items()} | {"身份证": ID_CARD, "护照": "03"}
_DATE: Final = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?: 00:00:00)?", re.ASCII)
_SERIAL: Final = re.compile(r"\d{4,5}", re.ASCII)
_EXCEL_EPOCH: Final = date(1899, 12, 30)
_NUMBER_LENGTHS: Final = range(4, 41)
_ADDRESS_MAX: Final = 200
_CARD: Final = re.compile(r"[0-9A-Za-z-]{1,40}", re.ASCII)
UNKNOWN_REGION: Final = "000000"
_REGION: Final = re.compile(r"\d{6}", re.ASCII)


def resident(cells: Mapping[str, str], *, today: date) -> Demographics:
    """Return the resident of a row. Sex and birth date may be left out where the identity number holds them.

    Raises:
        RowNumberByExcel, RowFieldEmpty, RowFieldInvalid; refusals of ``identity.checked``.
    """
    for field in ("name", "id_number", "phone"):
        if not cells.get(field):
            raise RowFieldEmpty(field=FIELDS[field][0])
    number = cells["id_number"]
    if number == BROKEN_NUMBER:
        raise RowNumberByExcel
    id_type = _certificate_type(cells.get("id_type", ""))
    if len(number) not in _NUMBER_LENGTHS:
        raise RowFieldInvalid(field=FIELDS["id_number"][0])
    sex, born = cells.get("sex", ""), cells.get("birth_date", "")
    if id_type == ID_CARD and not (sex and born):
        known = gb11643.parse(number, today=today)
        sex, born = sex or known.sex, born or known.birth_date.isoformat()
    given = Demographics(
        name=cells["name"],
        sex=_sex(sex),
        birth_date=_date(born),
        id_type=id_type,
        id_number=number,
        phone=cells["phone"],
        address=_address(cells.get("address", "")),
    )
    return identity.checked(given, today=today)


def region(cells: Mapping[str, str]) -> str:
    """Return the county of a row: the list's own column, else the first six digits of an identity number."""
    said = cells.get("region", "")[:6]
    number = cells.get("id_number", "")
    if _REGION.fullmatch(said):
        return said
    return number[:6] if _REGION.fullmatch(number[:6]) and len(number) in {15, 18} else UNKNOWN_REGION


def visit_card(cells: Mapping[str, str]) -> str:
    """Return the visit card number of a row, upper case.

    Raises:
        RowFieldEmpty, RowFieldInvalid.
    """
    number = unicodedata.normalize("NFKC", cells.get("visit_card", "")).upper()
    if not number:
        raise RowFieldEmpty(field=FIELDS["visit_card"][0])
    if not _CARD.fullmatch(number):
        raise RowFieldInvalid(field=FIELDS["visit_card"][0])
    return number


def _certificate_type(text: str) -> str:
    if not text:
        return ID_CARD
    code = text.zfill(2) if text.isascii() and text.isdigit() else _TYPES.get(text, "")
    if code not in CERTIFICATE_TYPES:
        raise RowFieldInvalid(field=FIELDS["id_type"][0])
    return code


def _sex(text: str) -> str:
    if not text:
        raise RowFieldEmpty(field=FIELDS["sex"][0])
    code = _SEXES.get(text.casefold())
    if code is None:
        raise RowFieldInvalid(field=FIELDS["sex"][0])
    return code


def _date(text: str) -> date:
    if not text:
        raise RowFieldEmpty(field=FIELDS["birth_date"][0])
    try:
        found = _DATE.fullmatch(text)
        if found is not None and len(text) > 5:  # noqa: PLR2004 -- shorter ones are days since 1900
            return date(int(found[1]), int(found[2]), int(found[3]))
        if _SERIAL.fullmatch(text):
            return _EXCEL_EPOCH + timedelta(days=int(text))
    except ValueError:
        pass
    raise RowFieldInvalid(field=FIELDS["birth_date"][0])


def _address(text: str) -> str:
    if len(text) > _ADDRESS_MAX or any(unicodedata.category(each) in {"Cc", "Cs"} for each in text):
        raise RowFieldInvalid(field=FIELDS["address"][0])
    return text
