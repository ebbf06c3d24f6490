"""How two Chinese names compare, from the same characters down to nothing in common. Pure.

Levels, the first that holds: the mother's name of two newborns; a newborn's against another name; the same spelling;
the same but for traditional forms, variants, dots; the same sound; pinyin that spells it; the parts in another order;
another surname before the same given name; one character of the given name kept beside the surname; the surname alone.
"""

from __future__ import annotations

from typing import Final

from rapidfuzz.distance import DamerauLevenshtein

from yimatong.empi.matching.comparators import MISSING, Comparator, ComparatorFactory, Level, Prepared

_COLUMNS: Final = (
    *("name", "spelling", "sound", "sound_sorted", "latin", "surname", "surname_sound", "given", "given_sound"),
    *("given_first", "given_last", "mother"),
)
_SURNAME: Final = "l.surname_sound = r.surname_sound"
_CLOSE: Final = (
    "(l.surname IS NULL OR r.surname IS NULL) AND l.mother IS NULL AND r.mother IS NULL"
    " AND damerau_levenshtein(l.sound, r.sound) <= least(strlen(l.sound), strlen(r.sound)) // 4"
)
"""Names without a surname (阿卜杜热合曼·买买提, John Smith) that differ in a quarter at most, counted in bytes: every
window transcribes a foreign name in its own way."""
_LEVELS: Final = (
    Level(name="newborns", sql="l.mother = r.mother", zh="同一母亲的新生儿", en="newborns of one mother's name"),
    Level(
        name="newborn",
        sql="(l.mother IS NULL) <> (r.mother IS NULL)",
        zh="一方为新生儿暂用名",
        en="one is a newborn's name",
    ),
    Level(name="exact", sql="l.spelling = r.spelling", zh="姓名相同", en="the same name"),
    Level(name="variant", sql="l.name = r.name", zh="繁简、异体或间隔号不同", en="same but for variants"),
    Level(name="homophone", sql="l.sound = r.sound AND NOT l.latin AND NOT r.latin", zh="同音字", en="the same sound"),
    Level(
        name="pinyin",
        sql="l.sound_sorted = r.sound_sorted AND (l.latin OR r.latin)",
        zh="拼音相符",
        en="pinyin of it",
    ),
    Level(name="swapped", sql="l.sound_sorted = r.sound_sorted", zh="姓名次序不同", en="parts in another order"),
    Level(
        name="surname_changed",
        sql="l.given = r.given OR (l.surname IS NULL AND r.surname IS NULL AND l.given_first = r.given_first)",
        zh="姓不同，名相同",
        en="another surname, the same given name",
    ),
    Level(
        name="one_character",
        sql=f"({_SURNAME} AND (l.given_first = r.given_first OR l.given_last = r.given_last)) OR ({_CLOSE})",
        zh="名差一字",
        en="one character of the given name differs",
    ),
    Level(name="surname", sql=_SURNAME, zh="仅姓相同", en="the surname only"),
    Level(name="else", sql="", zh="姓名不同", en="different"),
)
_NEWBORNS, _NEWBORN, _EXACT, _VARIANT, _HOMOPHONE, _PINYIN, _SWAPPED, _CHANGED, _ONE, _SURNAME_ONLY, _ELSE = range(
    len(_LEVELS)
)


def _same(left: Prepared, right: Prepared, column: str) -> bool:
    value = left[column]
    return value is not None and value == right[column]


def compare_names(left: Prepared, right: Prepared) -> int:
    """Return the index of the level that two prepared records reach."""
    if left["name"] is None or right["name"] is None:
        return MISSING
    ours, theirs = left["mother"], right["mother"]
    if ours is not None or theirs is not None:
        return _newborn(ours, theirs, left, right)
    if _same(left, right, "spelling"):
        return _EXACT
    if left["name"] == right["name"]:
        return _VARIANT
    return _sounding(left, right) if left["sound_sorted"] == right["sound_sorted"] else _other_name(left, right)


def _sounding(left: Prepared, right: Prepared) -> int:
    if left["latin"] or right["latin"]:
        return _PINYIN
    return _HOMOPHONE if left["sound"] == right["sound"] else _SWAPPED


def _newborn(ours: str | None, theirs: str | None, left: Prepared, right: Prepared) -> int:
    if ours is None or theirs is None:
        return _NEWBORN
    if ours == theirs:
        return _NEWBORNS
    # two mothers: what is left to compare is how the whole placeholder sounds
    return _sounding(left, right) if left["sound_sorted"] == right["sound_sorted"] else _ELSE


def _other_name(left: Prepared, right: Prepared) -> int:
    if _same(left, right, "given"):
        return _CHANGED
    if left["surname"] is None and right["surname"] is None and _same(left, right, "given_first"):
        return _CHANGED
    if left["surname"] is None or right["surname"] is None:
        return _ONE if _close(left["sound"].encode(), right["sound"].encode()) else _ELSE
    if not _same(left, right, "surname_sound"):
        return _ELSE
    if _same(left, right, "given_first") or _same(left, right, "given_last"):
        return _ONE
    return _SURNAME_ONLY


def _close(ours: bytes, theirs: bytes) -> bool:
    most = min(len(ours), len(theirs)) // 4
    return DamerauLevenshtein.distance(ours, theirs, score_cutoff=most) <= most


def chinese_name(_columns: tuple[str, ...]) -> Comparator:
    """Return the comparison of names."""
    return Comparator(
        columns=_COLUMNS, missing="l.name IS NULL OR r.name IS NULL", levels=_LEVELS, compare=compare_names
    )


COMPARATORS: Final[dict[str, ComparatorFactory]] = {"chinese_name": chinese_name}
