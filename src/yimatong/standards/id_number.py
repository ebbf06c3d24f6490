"""Citizen identification numbers, GB 11643-1999 (18 characters) and GB 11643-1989 (15 digits).

Positions of the 18: region 1-6 (GB/T 2260), birth date 7-14, serial 15-17 (odd: male), check character 18
(ISO 7064 MOD 11-2). The 15-digit form lacks the century and the check character.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from operator import mul
from typing import Final

from yimatong.standards.errors import IdNumberBirthDate, IdNumberCheckDigit, IdNumberRegion, IdNumberShape
from yimatong.standards.regions import PROVINCES

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_OF_CODES: Final = 48 * sum(_WEIGHTS)
"""What the sum holds too much when the codes of the digits are multiplied instead of the digits."""

_CHECK: Final = "10X98765432"
_SEVENTEEN: Final = re.compile(r"[0-9]{17}", re.ASCII)
_EIGHTEEN: Final = re.compile(r"[0-9]{17}[0-9X]", re.ASCII)
_FIFTEEN: Final = re.compile(r"[0-9]{15}", re.ASCII)
_OLDEST_YEARS: Final = 150
SHORT_LENGTH: Final = 15


@dataclass(frozen=True, slots=True)
class IdNumber:
    """A number that passed every check. ``sex`` is the code of GB/T 2261.1: ``1`` male, ``2`` female."""

    number18: str
    region_code: str
    birth_date: date
    sex: str


def normalise(number: str) -> str:
    """Return ``number`` as half-width, without outer blanks, ``x`` as ``X``. Checks nothing."""
    return unicodedata.normalize("NFKC", number).strip().upper()


def check_digit(first17: str) -> str:
    """Return the check character (``0``-``9`` or ``X``) for the first seventeen digits.

    Raises:
        IdNumberShape: ``first17`` is not seventeen ASCII digits.
    """
    if not _SEVENTEEN.fullmatch(first17):
        raise IdNumberShape
    return _CHECK[(sum(map(mul, first17.encode(), _WEIGHTS)) - _OF_CODES) % 11]


def to_18(number15: str) -> str:
    """Return the 18-character form of a 15-digit number; the century is 19.

    Numbers of the first generation for people born before 1900 (serials 996-999) cannot be told apart and
    are read as 19xx as well; their holders got 18-character numbers in 1999.

    Raises:
        IdNumberShape: not fifteen ASCII digits.
    """
    if not _FIFTEEN.fullmatch(number15):
        raise IdNumberShape
    first17 = number15[:6] + "19" + number15[6:]
    return first17 + check_digit(first17)


def to_15(number18: str) -> str:
    """Return the 15-digit form that an 18-character number replaced.

    Raises:
        IdNumberShape: not an 18-character number.
        IdNumberBirthDate: born outside 1900-1999, so there never was a 15-digit form.
    """
    if not _EIGHTEEN.fullmatch(number18):
        raise IdNumberShape
    if number18[6:8] != "19":
        raise IdNumberBirthDate
    return number18[:6] + number18[8:17]


def parse(number: str, *, today: date) -> IdNumber:
    """Check ``number`` (18 or 15 characters, ``x`` and full-width accepted) and take it apart.

    Raises:
        IdNumberShape: length or characters.
        IdNumberCheckDigit: the last character does not fit.
        IdNumberRegion: no such province.
        IdNumberBirthDate: no such day, after ``today``, or more than 150 years before it.
    """
    text = normalise(number)
    if len(text) == SHORT_LENGTH:
        text = to_18(text)
    if not _EIGHTEEN.fullmatch(text):
        raise IdNumberShape
    if check_digit(text[:17]) != text[17]:
        raise IdNumberCheckDigit
    if text[:2] not in PROVINCES:
        raise IdNumberRegion(prefix=text[:2])
    return IdNumber(
        number18=text,
        region_code=text[:6],
        birth_date=_birth_date(text[6:14], today),
        sex="1" if int(text[16]) % 2 else "2",
    )


def _birth_date(digits: str, today: date) -> date:
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise IdNumberBirthDate from None
    if born > today or born.year < today.year - _OLDEST_YEARS:
        raise IdNumberBirthDate
    return born
