"""The preparation of a Chinese record: names, numbers, dates and addresses in the columns that are compared. Pure.

Nothing is refused: a record is what its provider wrote, mistakes and all. Columns: see ``COLUMNS``. Comparisons of them
stand in ``chinese_names`` and ``chinese_facts``, blocking keys in ``blocking``.

- A child registered under its mother (王芳之子, 王芳之二女, 王芳之女A) has no name of its own: ``mother`` holds hers.
- The birth date of a valid identity number replaces a date that is missing or looks like a slip of it (1 January, day
  and month swapped, one digit off); a date that is another one altogether stays: the number may be the mother's.
- An identity number of 15 digits and the 18 characters that replaced it (GB 11643-1999) are one number (``id_valid``);
  ``id_checked`` holds those that were written with their check character.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

from yimatong.empi.matching.facts import Facts
from yimatong.standards import addresses, id_number, pinyin, surnames, variants
from yimatong.standards.codes import ID_CARD
from yimatong.standards.errors import IdNumberInvalid

COLUMNS: Final = {
    "name": "VARCHAR",
    "spelling": "VARCHAR",
    "sound": "VARCHAR",
    "sound_sorted": "VARCHAR",
    "latin": "BOOLEAN",
    "surname": "VARCHAR",
    "surname_sound": "VARCHAR",
    "given": "VARCHAR",
    "given_sound": "VARCHAR",
    "given_first": "VARCHAR",
    "given_last": "VARCHAR",
    "mother": "VARCHAR",
    "sex": "VARCHAR",
    "birth": "VARCHAR",
    "id_number": "VARCHAR",
    "id_valid": "VARCHAR",
    "id_checked": "VARCHAR",
    "certificate": "VARCHAR",
    "phone": "VARCHAR",
    "road": "VARCHAR",
    "estate": "VARCHAR",
    "door": "VARCHAR",
}
"""DuckDB types by column; ``NULL`` for what is not said."""

_PLACEHOLDER: Final = re.compile(
    "(.{2,}?)之?(?:(?<=之)[大小长次幼双一二三四甲乙1-4A-D]?(?:子|女|婴|男婴|女婴|男|儿|孩)|(?:新生儿|婴儿|大毛|小毛|毛毛))"
    "[一二三四甲乙1-4A-D]?",
    re.IGNORECASE,
)
_PLACEHOLDER_ENDS: Final = frozenset("子女婴男儿孩毛一二三四甲乙1234abcd")
"""Every placeholder ends with one of these."""

_NOBODY: Final = frozenset(
    ("无名", "无名氏", "未知", "不详", "佚名", "无", "匿名", "患者", "未命名", "unknown", "新生儿", "婴儿", "测试")
)
_REMARK: Final = re.compile(r"\([^()]*\)?|\[[^\[\]]*\]?|【[^【】]*】?|[*#?~]+")
_COUNTED: Final = re.compile("(?<=[^0-9])[0-9]+$")
"""What a desk writes behind a name: (急诊), a star, the number of a namesake."""
_NOT_ALNUM: Final = re.compile("[^0-9A-Z]+")
_DIGITS: Final = re.compile("[0-9]{7,}")
_PHONE_TAIL: Final = 8
_PHONE_LEAST: Final = 7
_TODAY: Final = date(2049, 12, 31)
"""Bounds births to 1899-2049: purity forbids a clock, and a number of next year is nobody's mistake here."""
_NEVER: Final = 1900
"""1900-01-01 and before is what forms and databases begin with; nobody alive was born then."""
_DATE_DIGITS: Final = 8
_LATIN_ENOUGH: Final = 2


def prepare(facts: Facts) -> dict[str, Any]:
    """Return the columns of ``COLUMNS``."""
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    found.update(zip(_Named._fields, _name(facts.name), strict=True))
    number, valid, born = number_of(facts.id_type, facts.id_number)
    short = bool(valid) and len(_NOT_ALNUM.sub("", facts.id_number)) == id_number.SHORT_LENGTH
    found["id_number"] = number or None
    found["id_valid"] = valid or None
    found["birth"] = _birth(facts.birth_date, born)
    found["sex"] = facts.sex if facts.sex in ("1", "2") else None
    if valid:
        found["certificate"] = f"{ID_CARD}:{valid}"
        found["id_checked"] = None if short else valid
        if found["sex"] is None and found["birth"] == born:
            found["sex"] = "1" if int(valid[16]) % 2 else "2"
    elif number and facts.id_type not in ("", ID_CARD):
        found["certificate"] = f"{facts.id_type}:{number}"
    found["phone"] = phone_of(facts.phone) or None
    if facts.address:
        address = addresses.standardise(facts.address)
        found["road"] = address.road or None
        found["estate"] = address.estate or None
        found["door"] = address.door or None
    return found


class _Named(NamedTuple):
    """The columns that a name gives, in the order of ``_NAME_COLUMNS``."""

    name: str | None = None
    spelling: str | None = None
    sound: str | None = None
    sound_sorted: str | None = None
    latin: bool | None = None
    surname: str | None = None
    surname_sound: str | None = None
    given: str | None = None
    given_sound: str | None = None
    given_first: str | None = None
    given_last: str | None = None
    mother: str | None = None


@lru_cache(maxsize=32_768)
def _name(text: str) -> _Named:
    """Take a name apart; few names are borne by most people, so the answers are kept."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain.isalpha():
        plain = _REMARK.sub("", plain).strip()
    name = variants.canonical(plain)
    child = _PLACEHOLDER.fullmatch(name) if name[-1:] in _PLACEHOLDER_ENDS else None
    if not child and name[-1:].isdigit():
        plain, name = _COUNTED.sub("", plain), _COUNTED.sub("", name)
    if not name or name in _NOBODY:
        return _Named()
    if child:
        sound = pinyin.sound(name)
        return _Named(name=name, sound=sound, sound_sorted=sound, latin=False, surname=child[1][0], mother=child[1])
    letters, latin = plain.isalpha(), plain.isascii()
    sound = pinyin.sound(plain if latin else name)
    spelling = plain if letters else "".join(filter(str.isalpha, plain))
    ordered = "".join(sorted(sound))
    if latin:
        return _Named(name, spelling, sound, ordered, latin)
    pieces = () if letters else variants.parts(plain)
    if len(pieces) > 1:  # a middle dot: the own name comes first, the father's or the clan's after it
        return _Named(name, spelling, sound, ordered, latin, given_first=pieces[0], given_last=pieces[-1])
    size = 2 if len(name) > 2 and name[:2] in surnames.COMPOUND else 1  # noqa: PLR2004 -- a surname of two and a given name
    given = name[size:]
    if not given:
        return _Named(name, spelling, sound, ordered, latin, name[:size], sound[:size])
    own = (given, sound[size:], given[0], given[-1])
    return _Named(name, spelling, sound, ordered, latin, name[:size], sound[:size], *own)


def number_of(id_type: str, text: str) -> tuple[str, str, str]:
    """Return a certificate number in one form, again if it is a valid identity number, and the birth date in it.

    Numbers of other certificates are never valid in this sense. Empty texts for what there is not.
    """
    if not text:
        return "", "", ""
    number = _NOT_ALNUM.sub("", unicodedata.normalize("NFKC", text).upper())
    if not number or id_type not in ("", ID_CARD):
        return number, "", ""
    try:
        known = id_number.parse(number, today=_TODAY)
    except IdNumberInvalid:
        return number, "", ""
    return known.number18, known.number18, known.number18[6:14]


def _birth(said: date | None, of_number: str) -> str | None:
    if said is None or said.year <= _NEVER:
        return of_number or None
    text = f"{said.year:04d}{said.month:02d}{said.day:02d}"
    return of_number if of_number and text != of_number and slip(text, of_number) else text


def slip(written: str, meant: str) -> bool:
    """Say whether a date of eight digits may be meant for another: 1 January, day and month swapped, one digit off."""
    if written[:4] == meant[:4] and (written[4:] == "0101" or written[4:] == meant[6:] + meant[4:6]):
        return True
    return sum(a != b for a, b in zip(written, meant, strict=True)) == 1


def phone_of(text: str) -> str:
    """Return a telephone number as digits without the country code; empty for what nobody can be called at.

    Numbers of a window's habit (13800000000, 12345678901) say nothing of a person.
    """
    if not text:
        return ""
    plain = text.isascii() and text.isdigit()
    digits = text if plain else "".join(filter(str.isdigit, unicodedata.normalize("NFKC", text)))
    if len(digits) == 13 and digits.startswith("86"):  # noqa: PLR2004 -- 86 and the 11 digits of a mobile
        digits = digits[2:]
    tail = digits[-_PHONE_TAIL:]
    if len(digits) < _PHONE_LEAST or len(set(tail)) <= _LATIN_ENOUGH or tail in "0123456789012345678909876543210":
        return ""
    return digits
