"""Names of persons: one written form, and what cannot be a name.

Accepted: Chinese characters of every plane (GB 18030-2022 level 3 covers the rare ones in names, e.g. 𠮷),
Latin letters with their accents, blanks and the middle dot between parts, hyphen and apostrophe between
Latin letters. 1 to 50 characters. Systems write the middle dot of 阿依古丽·买买提 in half a dozen ways; here it is
U+00B7 always.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from yimatong.standards.errors import (
    NameHasControl,
    NameHasDigit,
    NameHasEmoji,
    NameHasOther,
    NameInvalid,
    NameLength,
)

LIMIT: Final = 50
MIDDLE_DOT: Final = "\u00b7"

_CJK: Final = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_DOTS: Final = re.compile("[\u2022\u2027\u2219\u22c5\u25cf\u30fb\uff65]")
_FULL_STOP: Final = re.compile(f"(?<=[{_CJK}])[.\uff0e](?=[{_CJK}])")
_AROUND_DOT: Final = re.compile(f" *{MIDDLE_DOT} *")
_BLANKS: Final = re.compile("[ \u00a0\u3000]+")
_FULL_WIDTH_LATIN: Final = {code: code - 0xFEE0 for code in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))}
_QUOTES: Final = {0x2019: "'", 0x02BC: "'", 0x2010: "-", 0x2011: "-"}
_IS_CJK: Final = re.compile(f"[{_CJK}]")


def normalise(name: str) -> str:
    """Return ``name`` in its one written form.

    NFC, no outer blanks, one blank between Latin parts, every middle dot as U+00B7, full-width Latin letters as
    half-width.

    Raises:
        NameInvalid: the subclass says what is wrong and at which position (counted from 1 after trimming).
    """
    text = unicodedata.normalize("NFC", name.translate(_FULL_WIDTH_LATIN).translate(_QUOTES))
    text = _BLANKS.sub(" ", text).strip(" \t\r\n")
    text = _FULL_STOP.sub(MIDDLE_DOT, _DOTS.sub(MIDDLE_DOT, text))
    text = _AROUND_DOT.sub(MIDDLE_DOT, text)
    if not 1 <= len(text) <= LIMIT:
        raise NameLength(limit=LIMIT)
    for index, character in enumerate(text):
        if not (_is_letter(character) or _separates(text, index)):
            raise _refusal(character, index + 1)
    return text


def same_name(a: str, b: str) -> bool:
    """Say whether two names are the same once normalised; case and blanks of Latin letters do not count.

    Raises:
        NameInvalid: one of them is no name.
    """
    return comparable(a) == comparable(b)


def comparable(name: str) -> str:
    """Return the form under which names are compared and indexed: normalised, case folded, without blanks.

    Raises:
        NameInvalid: it is no name.
    """
    return normalise(name).casefold().replace(" ", "")


def _is_letter(character: str) -> bool:
    if _IS_CJK.match(character):
        return True
    return character.isalpha() and unicodedata.name(character, "").startswith("LATIN ")


def _separates(text: str, index: int) -> bool:
    character = text[index]
    if character not in {MIDDLE_DOT, " ", "-", "'"} or not 0 < index < len(text) - 1:
        return False
    around = (text[index - 1], text[index + 1])
    if not all(_is_letter(neighbour) for neighbour in around):
        return False
    return character in {MIDDLE_DOT, " "} or not any(_IS_CJK.match(neighbour) for neighbour in around)


def _refusal(character: str, position: int) -> NameInvalid:
    category = unicodedata.category(character)
    if category in {"Cc", "Cf", "Zl", "Zp"}:
        return NameHasControl(position=position)
    if category.startswith("N"):
        return NameHasDigit(position=position)
    if category in {"So", "Sk"} or "\ufe00" <= character <= "\ufe0f":
        return NameHasEmoji(position=position)
    return NameHasOther(position=position, codepoint=f"U+{ord(character):04X}")
