"""Which tokens a person carries, and which a query asks for: the one place where both sides of the search agree.

Written by ``persons.service`` into ``empi_person.search_tokens``, asked for by ``search.service``. A token only finds
candidates: every one of them is unsealed and looked at again. Nothing is refused here, what a record says badly is
still found by the rest of it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from yimatong.crypto.tokens import Blinder
from yimatong.standards import names, phones, pinyin
from yimatong.standards.errors import NameInvalid, PhoneInvalid

TAIL: Final = 4
_NAME_LENGTH: Final = 50
_UNITS: Final = 8
_REGION: Final = re.compile(
    r"^(?:[^省区]{2,7}(?:省|自治区))?(?:[^市州盟]{2,10}?(?:市|自治州|地区|盟))?(?:.{1,8}?[县区旗])?"
)
_UNIT: Final = re.compile(
    "([^0-9]{1,12}?(?:街道|街|路|巷|镇|乡|村|社区|小区|大道|组|苑|园|院))"
    "|([0-9]+(?:[-#][0-9]+)*)(?:号院|号楼|号|栋|幢|楼|单元|室|层)?"
)
_WILD: Final = re.compile(r"[*?]+")


def of_person(blinder: Blinder, *, name: str, phone: str = "", address: str = "", mother_name: str = "") -> list[int]:
    """Return the sorted search tokens of a person.

    Whole name, its characters, pairs of characters and syllables; the whole phone and its last four digits; the units
    of the address below the county; the mother's whole name.
    """
    text = comparable(name)
    found = {blinder.whole_name_token(text)} if text else set()
    found |= {blinder.character_token(character) for character in text}
    found |= {blinder.bigram_token(text[i : i + 2]) for i in range(len(text) - 1)}
    found |= {blinder.syllable_token(each) for character in text for each in pinyin.every_reading(character)}
    found |= _phone_tokens(blinder, phone)
    found |= {blinder.address_token(unit) for unit in address_units(address)}
    mother = comparable(mother_name)
    if mother:
        found.add(blinder.mother_name_token(mother))
    return sorted(found)


def comparable(name: str) -> str:
    """Return the form under which a name is found; one that breaks the rules of names keeps its own characters."""
    try:
        return names.comparable(name)
    except NameInvalid:
        return "".join(unicodedata.normalize("NFKC", name).casefold().split())[:_NAME_LENGTH]


def pieces(pattern: str) -> list[str]:
    """Return the texts between the wild cards ``*`` and ``?`` of a pattern, in comparable form."""
    return [piece for each in _WILD.split(pattern) if (piece := comparable_piece(each))]


def comparable_piece(text: str) -> str:
    """Return a part of a name in comparable form; a part may begin or end with what no whole name does."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).replace("\u30fb", names.MIDDLE_DOT)


def piece_tokens(blinder: Blinder, piece: str) -> list[int]:
    """Return the tokens of a part of a name: its pairs of characters, or the character if it is one."""
    if len(piece) == 1:
        return [blinder.character_token(piece)]
    return [blinder.bigram_token(piece[i : i + 2]) for i in range(len(piece) - 1)]


def spelled(text: str) -> list[tuple[str, ...]]:
    """Return what a query sounds like, syllable by syllable: of Chinese characters, or of pinyin as people type it.

    ``zhang san``, ``zhangsan`` and 张三 give the same two syllables; characters give every reading.
    """
    found: list[tuple[str, ...]] = []
    for run in re.findall(r"[a-zü]+|[^a-zü]", unicodedata.normalize("NFKC", text).casefold()):
        if re.match("[a-zü]", run):
            found += [(each,) for each in pinyin.cut(run.replace("ü", "v"))]
        elif said := pinyin.every_reading(run):
            found.append(said)
    return found


def address_units(address: str) -> list[str]:
    """Return the units of an address below the county, in comparable form: roads, villages, house numbers."""
    text = comparable_address(address)
    found = _UNIT.findall(_REGION.sub("", text, count=1))
    return list(dict.fromkeys(words or digits for words, digits in found))[:_UNITS]


def comparable_address(address: str) -> str:
    """Return the form in which addresses are compared: half-width, lower case, without blanks and commas."""
    return re.sub(r"[\s,，。;；、]+", "", unicodedata.normalize("NFKC", address).casefold())


def _phone_tokens(blinder: Blinder, phone: str) -> set[int]:
    try:
        digits = phones.normalise(phone) if phone else ""
    except PhoneInvalid:
        return set()
    return {blinder.phone_token(digits), blinder.phone_tail_token(digits[-TAIL:])} if digits else set()
