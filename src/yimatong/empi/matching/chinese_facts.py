"""How identity numbers, birth dates, and household (phone and address together) of two records compare. Pure.

Phone and address are one comparison because they are one fact: a family shares both, so two agreements are not twice
the evidence. Two valid identity numbers that differ are strong evidence against: a slip of the pen seldom passes the
check character (GB 11643, ISO 7064 MOD 11-2 finds every wrong digit and every swap of neighbours).
"""

from __future__ import annotations

from typing import Final

from rapidfuzz.distance import DamerauLevenshtein

from yimatong.empi.matching.comparators import MISSING, Comparator, ComparatorFactory, Level, Prepared

_NEW_YEAR: Final = "0101"
_LONG_NUMBER: Final = 15

_ID_LEVELS: Final = (
    Level(name="valid", sql="l.id_valid = r.id_valid", zh="证件号有效且相同", en="valid and the same"),
    Level(name="same", sql="l.id_number = r.id_number", zh="证件号相同（未经校验）", en="the same, unproven"),
    Level(
        name="two_valid",
        sql="l.id_valid IS NOT NULL AND r.id_valid IS NOT NULL",
        zh="两个不同的有效证件号",
        en="two valid numbers that differ",
    ),
    Level(
        name="slip",
        sql="length(l.id_number) >= 15 AND length(l.id_number) = length(r.id_number)"
        " AND damerau_levenshtein(l.id_number, r.id_number) <= 1",
        zh="差一位或两位互换",
        en="one slip apart",
    ),
    Level(name="else", sql="", zh="证件号不同", en="different"),
)


def _compare_ids(left: Prepared, right: Prepared) -> int:
    ours, theirs = left["id_number"], right["id_number"]
    if ours is None or theirs is None:
        return MISSING
    both = left["id_valid"] is not None and right["id_valid"] is not None
    if ours == theirs:
        return 0 if both else 1
    if both:
        return 2
    if len(ours) >= _LONG_NUMBER and len(ours) == len(theirs):
        return 3 if DamerauLevenshtein.distance(ours, theirs, score_cutoff=1) <= 1 else 4
    return 4


def chinese_id(_columns: tuple[str, ...]) -> Comparator:
    """Return the comparison of certificate numbers."""
    return Comparator(
        columns=("id_number", "id_valid"),
        missing="l.id_number IS NULL OR r.id_number IS NULL",
        levels=_ID_LEVELS,
        compare=_compare_ids,
    )


_YEAR: Final = "l.birth[1:4] = r.birth[1:4]"
_BIRTH_LEVELS: Final = (
    Level(name="exact", sql="l.birth = r.birth", zh="出生日期相同", en="the same"),
    Level(
        name="swapped",
        sql=f"{_YEAR} AND l.birth[5:6] = r.birth[7:8] AND l.birth[7:8] = r.birth[5:6]",
        zh="月日互换",
        en="day and month swapped",
    ),
    Level(name="slip", sql="damerau_levenshtein(l.birth, r.birth) <= 1", zh="差一位", en="one digit off"),
    Level(
        name="first_january",
        sql=f"{_YEAR} AND (l.birth[5:8] = '0101' OR r.birth[5:8] = '0101')",
        zh="同年，一方为1月1日",
        en="the same year, one says 1 January",
    ),
    Level(
        name="one_part",
        sql=f"(l.birth[5:8] = r.birth[5:8] AND l.birth[5:8] <> '0101')"
        f" OR ({_YEAR} AND (l.birth[5:6] = r.birth[5:6] OR l.birth[7:8] = r.birth[7:8]))",
        zh="年、月、日之一不同",
        en="one of year, month and day differs",
    ),
    Level(name="year", sql=_YEAR, zh="仅出生年相同", en="the year only"),
    Level(name="else", sql="", zh="出生日期不同", en="different"),
)


def _compare_births(left: Prepared, right: Prepared) -> int:
    ours, theirs = left["birth"], right["birth"]
    if ours is None or theirs is None:
        return MISSING
    if ours == theirs:
        return 0
    if ours[:4] == theirs[:4]:
        if ours[4:6] == theirs[6:] and ours[6:] == theirs[4:6]:
            return 1
        rest = 3 if _NEW_YEAR in (ours[4:], theirs[4:]) else 4 if _part(ours, theirs) else 5
    else:
        rest = 4 if ours[4:] == theirs[4:] != _NEW_YEAR else 6
    return 2 if DamerauLevenshtein.distance(ours, theirs, score_cutoff=1) <= 1 else rest


def _part(ours: str, theirs: str) -> bool:
    return ours[4:6] == theirs[4:6] or ours[6:] == theirs[6:]


_ALIKE: Final = 5
"""Levels of a birth date that have something in common beyond the year."""
BIRTHS_ALIKE: Final = " OR ".join(f"({each.sql})" for each in _BIRTH_LEVELS[:_ALIKE])


def births_alike(left: Prepared, right: Prepared) -> bool:
    """Say whether two birth dates may be one, mistyped; one that is not said may be any."""
    return _compare_births(left, right) < _ALIKE


def chinese_birth(_columns: tuple[str, ...]) -> Comparator:
    """Return the comparison of birth dates (eight digits)."""
    return Comparator(
        columns=("birth",),
        missing="l.birth IS NULL OR r.birth IS NULL",
        levels=_BIRTH_LEVELS,
        compare=_compare_births,
    )


_DOOR: Final = "l.door = r.door AND (l.road = r.road OR l.estate = r.estate)"
_HOUSEHOLD_LEVELS: Final = (
    Level(
        name="both",
        sql=f"l.phone = r.phone AND {_DOOR}",
        zh="电话与住址相同",
        en="phone and address",
    ),
    Level(name="phone", sql="l.phone = r.phone", zh="电话相同", en="phone"),
    Level(name="address", sql=_DOOR, zh="住址相同", en="address"),
    Level(
        name="street",
        sql="l.road = r.road OR l.estate = r.estate OR l.door = r.door",
        zh="住址部分相同",
        en="part of the address",
    ),
    Level(name="else", sql="", zh="电话与住址均不同", en="neither"),
)


def at_one_door(left: Prepared, right: Prepared) -> bool:
    """Say whether two prepared records name the same door of the same road or estate."""
    door = left["door"]
    if door is None or door != right["door"]:
        return False
    road, estate = left["road"], left["estate"]
    return (road is not None and road == right["road"]) or (estate is not None and estate == right["estate"])


def _compare_households(left: Prepared, right: Prepared) -> int:
    ours, theirs = left["phone"], right["phone"]
    phones = ours is not None and theirs is not None
    addresses = left["road"] is not None and right["road"] is not None
    if not phones and not addresses:
        return MISSING
    door = at_one_door(left, right)
    if phones and ours == theirs:
        return 0 if door else 1
    if door:
        return 2
    parts = ("road", "estate", "door")
    return 3 if any(left[part] is not None and left[part] == right[part] for part in parts) else 4


def chinese_household(_columns: tuple[str, ...]) -> Comparator:
    """Return the comparison of phone and address together."""
    return Comparator(
        columns=("phone", "road", "estate", "door"),
        missing="(l.phone IS NULL OR r.phone IS NULL) AND (l.road IS NULL OR r.road IS NULL)",
        levels=_HOUSEHOLD_LEVELS,
        compare=_compare_households,
    )


COMPARATORS: Final[dict[str, ComparatorFactory]] = {
    "chinese_id": chinese_id,
    "chinese_birth": chinese_birth,
    "chinese_household": chinese_household,
}
