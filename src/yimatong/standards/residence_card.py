"""Numbers of the Foreign Permanent Resident ID Card (外国人永久居留身份证), both forms that are in use.

Cards issued since 2023-12-01: 18 characters after the model of GB 11643. Position 1 is ``9`` (a citizen's number begins
with 1 to 8), 2-3 the province that accepted the application (GB/T 2260), 4-6 the country in digits (GB/T 2659.1, ISO
3166-1), 7-14 the birth date, 15-17 a serial, 18 the check character (ISO 7064 MOD 11-2).
Cards issued before: 15 characters, the country in three letters, the accepting place in four digits, the birth date
as yymmdd, two digits more. They stay good until they expire. Source: National Immigration Administration,
新版外国人永久居留身份证机读信息规则 (2023 版), sections 2 and 3. How the last digits of the old form are made was not
published, so they are not checked here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from yimatong.standards.errors import ResidenceNumberBirthDate, ResidenceNumberCheckDigit, ResidenceNumberShape
from yimatong.standards.id_number import check_digit, normalise

_NEW: Final = re.compile(r"9[0-9]{16}[0-9X]", re.ASCII)
_OLD: Final = re.compile(r"[A-Z]{3}[0-9]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ResidenceNumber:
    """A number that passed every check. ``country`` is three digits (new form) or three letters (old form)."""

    number: str
    country: str
    born_mmdd: str
    born_year: int | None
    born_year2: int

    def agrees(self, birth_date: date) -> bool:
        """Say whether the number was made for somebody born on this day; the old form does not know the century."""
        if self.born_year is not None and birth_date.year != self.born_year:
            return False
        return birth_date.year % 100 == self.born_year2 and birth_date.strftime("%m%d") == self.born_mmdd


def parse(number: str, *, today: date) -> ResidenceNumber:
    """Check ``number`` (18 or 15 characters; full-width and lower case accepted) and take it apart.

    Raises:
        ResidenceNumberShape: neither form.
        ResidenceNumberCheckDigit: the last character does not fit (new form).
        ResidenceNumberBirthDate: no such day, or after ``today``.
    """
    text = normalise(number)
    if _OLD.fullmatch(text):
        digits = text[7:13]
        _real_day(int(f"20{digits[:2]}"), digits[2:])  # 2000 to 2099 has every day that another century has
        return ResidenceNumber(text, text[:3], digits[2:], None, int(digits[:2]))
    if not _NEW.fullmatch(text):
        raise ResidenceNumberShape
    if check_digit(text[:17]) != text[17]:
        raise ResidenceNumberCheckDigit
    year = int(text[6:10])
    if _real_day(year, text[10:14]) > today:
        raise ResidenceNumberBirthDate
    return ResidenceNumber(text, text[3:6], text[10:14], year, year % 100)


def _real_day(year: int, month_day: str) -> date:
    try:
        return date(year, int(month_day[:2]), int(month_day[2:]))
    except ValueError:
        raise ResidenceNumberBirthDate from None
