"""Telephone numbers as people and hospital systems write them, brought to one form.

Domestic numbers lose the country code 86; others keep theirs. Nothing here says whether a number is in service.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from yimatong.standards.errors import PhoneInvalid

_SEPARATORS: Final = re.compile(r"[\s\-().]+")
_CHINA: Final = re.compile(r"(?:\+|00)86(?=\d)|86(?=1[3-9]\d{9}$)", re.ASCII)
_DIGITS: Final = re.compile(r"\d{5,15}", re.ASCII)


def normalise(phone: str) -> str:
    """Return ``phone`` as digits only: ``+86 138-0013-8000`` becomes ``13800138000``, ``+852 ...`` ``852...``.

    Raises:
        PhoneInvalid: something else than 5 to 15 digits remains.
    """
    text = _SEPARATORS.sub("", unicodedata.normalize("NFKC", phone))
    country = _CHINA.match(text)
    text = text[country.end() :] if country else text.removeprefix("+")
    if not _DIGITS.fullmatch(text):
        raise PhoneInvalid
    return text
