"""Whether an unsealed person fits a query, and how well. Pure: the tokens found her, this decides.

Everything given must fit. The rank orders those who do: 1 for a live person who fits letter by letter; less for a name
that only sounds alike or fits a pattern, for the tail of a phone, for facts of a retired record, for one who is dead or
was cancelled.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from yimatong.empi import search_tokens as tokens
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.empi.search.schemas import PersonQuery
from yimatong.standards import phones
from yimatong.standards.errors import PhoneInvalid

_SOUND: Final = 0.2
_PATTERN: Final = 0.1
_TAIL: Final = 0.1
_FORMER: Final = 0.15
_DEAD: Final = 0.1
_CANCELLED: Final = 0.3


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A query in comparable form. ``name_match`` as in the query; ``phone`` whole or its last four digits."""

    query: PersonQuery
    name: str
    name_match: str
    sounds: tuple[tuple[str, ...], ...]
    pieces: tuple[str, ...]
    phone: str
    units: frozenset[str]
    mother: str


def wanted(query: PersonQuery) -> Wanted:
    """Return a query in comparable form; wild cards in a name make it a pattern whatever ``name_match`` says.

    Raises:
        PhoneInvalid: neither a number nor four digits.
    """
    match = "part" if re.search(r"[*?]", query.name) else query.name_match
    return Wanted(
        query=query,
        name=tokens.comparable_piece(query.name) if match == "part" else tokens.comparable(query.name),
        name_match=match if query.name else "",
        sounds=tuple(tokens.spelled(query.name)) if match == "pinyin" else (),
        pieces=tuple(tokens.pieces(query.name)) if match == "part" else (),
        phone=_phone(query.phone),
        units=frozenset(tokens.address_units(query.address)),
        mother=tokens.comparable(query.mother_name),
    )


def rank(asked: Wanted, known: PersonRecord, *, region_code: str, current: bool) -> float | None:
    """Return how well a row of the index fits, between 0 and 1; None: it does not.

    ``current``: it is the person of today, not one that was retired into her.
    """
    if not _fits(asked, known, region_code):
        return None
    lost = [_name(asked, str.__str__(known.name)), _number(asked, str.__str__(known.phone))]
    if None in lost:
        return None
    lost += [0.0 if current else _FORMER, _DEAD if known.deceased_on else 0.0]
    lost.append(_CANCELLED if known.state == "cancelled" else 0.0)
    return round(max(1.0 - sum(each or 0.0 for each in lost), 0.05), 3)


def _fits(asked: Wanted, known: PersonRecord, region_code: str) -> bool:
    """Say whether everything fits that has no degrees."""
    query, born = asked.query, known.birth_date
    if (query.sex and known.sex != query.sex) or not region_code.startswith(query.region_code):
        return False
    if born is None and (query.born_from or query.born_to):
        return False
    if born is not None and not (query.born_from or born) <= born <= (query.born_to or born):
        return False
    if asked.mother and tokens.comparable(str.__str__(known.mother_name)) != asked.mother:
        return False
    return not query.address or _same_place(asked, str.__str__(known.address))


def _name(asked: Wanted, name: str) -> float | None:
    """Return what a name costs in rank; None: it does not fit."""
    if not asked.name_match:
        return 0.0
    own = tokens.comparable(name)
    if asked.name_match == "part":
        return _PATTERN if _like(own, asked.name) else None
    if own == asked.name:
        return 0.0
    if asked.name_match == "exact":
        return None
    said = tokens.spelled(name)
    alike = len(said) == len(asked.sounds) and all(set(a) & set(b) for a, b in zip(said, asked.sounds, strict=True))
    return _SOUND if alike else None


def _like(text: str, pattern: str) -> bool:
    """Say whether a text fits a pattern of ``*`` and ``?``, in at most their lengths multiplied.

    No regular expression: one of many stars would try every way to divide the text among them.
    """
    at = place = 0
    star, resumed = -1, 0
    while at < len(text):
        mark = pattern[place] if place < len(pattern) else ""
        if mark == "*":
            star, resumed, place = place, at, place + 1
        elif mark and mark in ("?", text[at]):
            at, place = at + 1, place + 1
        elif star >= 0:  # the last star takes one character more; earlier ones need not
            resumed += 1
            at, place = resumed, star + 1
        else:
            return False
    return not pattern[place:].strip("*")


def _number(asked: Wanted, phone: str) -> float | None:
    if not asked.phone:
        return 0.0
    own = _phone(phone) if phone else ""
    if own == asked.phone:
        return 0.0
    return _TAIL if len(asked.phone) == tokens.TAIL and own.endswith(asked.phone) else None


def _same_place(asked: Wanted, address: str) -> bool:
    if asked.units:
        return asked.units <= set(tokens.address_units(address))
    return tokens.comparable_address(asked.query.address) in tokens.comparable_address(address)


def _phone(text: str) -> str:
    """Return a phone in comparable form; one that is stored badly keeps its own characters."""
    if not text or (len(text) == tokens.TAIL and text.isascii() and text.isdigit()):
        return text
    try:
        return phones.normalise(text)
    except PhoneInvalid:
        return text
