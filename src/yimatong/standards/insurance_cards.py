"""Numbers of social-insurance cards (社会保障卡) and of rural medical-insurance booklets (合疗证).

The number on a social-insurance card has nine characters (LD/T 32, 社会保障卡卡号), a booklet's up to twenty digits;
both are taken here as 8 to 20 digits and capital letters, for provinces number them in their own ways.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from yimatong.standards.errors import InsuranceCardShape

_SEPARATORS: Final = re.compile(r"[\s\-]+")
_NUMBER: Final = re.compile(r"[0-9A-Z]{8,20}", re.ASCII)


def normalise(number: str) -> str:
    """Return the number in half-width capitals without blanks and hyphens.

    Raises:
        InsuranceCardShape: not 8 to 20 digits and letters.
    """
    text = _SEPARATORS.sub("", unicodedata.normalize("NFKC", number)).upper()
    if not _NUMBER.fullmatch(text):
        raise InsuranceCardShape
    return text
