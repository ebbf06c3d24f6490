"""What forbids an automatic link of two Chinese records whatever the weight: a steward looks at the pair instead. Pure.

- ``two_certificates``: two different valid numbers of one type (in ``plain``).
- ``twins``: the same birth date, and a given name that neither looks nor sounds the same, without the same valid
  number. Twins share birth date, family name, home and phone; only the name or the number tells them apart.
- ``other_name``: as ``twins``, but without the same birth date: brothers, or twins with a slip in one date.
- ``twin_names``: the same birth date and home, given names that only sound the same, without the same valid number:
  a slip of hearing, or 张颖 and 张莹.
- ``other_birth``: no number that proves them one, and birth dates with nothing in common; or names that only sound the
  same in one home under another date: brothers. A name alone does not outweigh that.
- ``newborn``: a child under its mother's name, unless both records hold the same valid number with their birth date:
  twins before they have names, and the mother's own number on the child's record.
- ``other_sex``: both records say a sex, and not the same.
- ``same_number_other_person``: the same valid number, but more than one character of the name differs, or the birth
  date does too.

``two_certificates``, ``twins`` and ``other_name`` speak against one person and forbid every chain; with the others the
pair proves too little by itself.
"""

from __future__ import annotations

from typing import Final

from yimatong.empi.matching.chinese_facts import BIRTHS_ALIKE, at_one_door, births_alike
from yimatong.empi.matching.comparators import Guard, Prepared

_SAME_NUMBER: Final = "coalesce(l.id_valid = r.id_valid, false)"
_OWN_NUMBER: Final = f"({_SAME_NUMBER} AND coalesce(l.birth = r.birth AND l.birth = l.id_valid[7:14], false))"
_OWN_NAMES: Final = "l.mother IS NULL AND r.mother IS NULL AND l.name IS NOT NULL AND r.name IS NOT NULL"
_SOUND_ALIKE: Final = "l.sound_sorted = r.sound_sorted"
_GIVEN_ALIKE: Final = "coalesce(l.given_sound = r.given_sound, false)"


def _same(left: Prepared, right: Prepared, column: str) -> bool:
    value = left[column]
    return value is not None and value == right[column]


def _own_names(left: Prepared, right: Prepared) -> bool:
    return left["mother"] is None and right["mother"] is None and left["name"] is not None and right["name"] is not None


def _other_given(left: Prepared, right: Prepared) -> bool:
    """Say that neither the whole names nor the given names sound the same."""
    return (
        _own_names(left, right)
        and left["sound_sorted"] != right["sound_sorted"]
        and not _same(left, right, "given_sound")
    )


def _other_name(left: Prepared, right: Prepared) -> bool:
    return not _same(left, right, "birth") and _other_given(left, right) and not _same(left, right, "id_valid")


def _twins(left: Prepared, right: Prepared) -> bool:
    return _same(left, right, "birth") and _other_given(left, right) and not _same(left, right, "id_valid")


def _single(left: Prepared, right: Prepared) -> bool:
    """Say that both given names are one character: where they differ, one character differs."""
    ours, theirs = left["given"], right["given"]
    return ours is not None and theirs is not None and len(ours) == len(theirs) == 1


def _sound_names(left: Prepared, right: Prepared) -> bool:
    """Say that names only sound the same, in one home, and that no number proves them one."""
    return (
        _own_names(left, right)
        and left["name"] != right["name"]
        and left["sound"] == right["sound"]
        and not left["latin"]
        and not right["latin"]
        and (_same(left, right, "phone") or at_one_door(left, right))
        and not _same(left, right, "id_valid")
    )


def _twin_names(left: Prepared, right: Prepared) -> bool:
    return _same(left, right, "birth") and _sound_names(left, right)


def _other_birth(left: Prepared, right: Prepared) -> bool:
    ours, theirs = left["birth"], right["birth"]
    if ours is None or theirs is None or ours == theirs or _same(left, right, "id_valid"):
        return False
    return not births_alike(left, right) or _sound_names(left, right)


def _newborn(left: Prepared, right: Prepared) -> bool:
    if left["mother"] is None and right["mother"] is None:
        return False
    own = _same(left, right, "id_valid") and _same(left, right, "birth")
    return not (own and left["birth"] == left["id_valid"][6:14])


def _other_sex(left: Prepared, right: Prepared) -> bool:
    return left["sex"] is not None and right["sex"] is not None and left["sex"] != right["sex"]


def _same_number(left: Prepared, right: Prepared) -> bool:
    if not _same(left, right, "id_valid") or not _other_given(left, right):
        return False
    near = _same(left, right, "given_first") or _same(left, right, "given_last") or _single(left, right)
    return not (near and _same(left, right, "surname_sound") and _same(left, right, "birth"))


_OTHER_GIVEN: Final = f"{_OWN_NAMES} AND NOT ({_SOUND_ALIKE}) AND NOT {_GIVEN_ALIKE}"
_NEAR: Final = (
    "coalesce((l.given_first = r.given_first OR l.given_last = r.given_last"
    " OR (length(l.given) = 1 AND length(r.given) = 1))"
    " AND l.surname_sound = r.surname_sound AND l.birth = r.birth, false)"
)
_DOOR: Final = "coalesce(l.door = r.door AND (l.road = r.road OR l.estate = r.estate), false)"
_SOUND_NAMES: Final = (
    f"{_OWN_NAMES} AND l.name <> r.name AND l.sound = r.sound AND NOT l.latin AND NOT r.latin"
    f" AND (coalesce(l.phone = r.phone, false) OR {_DOOR}) AND NOT {_SAME_NUMBER}"
)

GUARDS: Final = {
    "twins": Guard(
        columns=("birth", "name", "sound_sorted", "given_sound", "mother", "id_valid"),
        sql=f"l.birth = r.birth AND {_OTHER_GIVEN} AND NOT {_SAME_NUMBER}",
        holds=_twins,
        zh="同日出生而名不同（可能是双胞胎）",
        en="born the same day under other given names: twins perhaps",
    ),
    "other_name": Guard(
        columns=("birth", "name", "sound_sorted", "given_sound", "mother", "id_valid"),
        sql=f"coalesce(l.birth <> r.birth, true) AND {_OTHER_GIVEN} AND NOT {_SAME_NUMBER}",
        holds=_other_name,
        zh="名不同而无相同的有效证件号",
        en="another given name, and no number that proves them one",
    ),
    "twin_names": Guard(
        columns=("birth", "name", "sound", "latin", "mother", "id_valid", "phone", "door", "road", "estate"),
        sql=f"l.birth = r.birth AND {_SOUND_NAMES}",
        holds=_twin_names,
        zh="同日出生、同住而名同音（可能是双胞胎）",
        en="born the same day into one home under names that only sound the same",
        apart=False,
    ),
    "other_birth": Guard(
        columns=("birth", "name", "sound", "latin", "mother", "id_valid", "phone", "door", "road", "estate"),
        sql=f"l.birth <> r.birth AND NOT {_SAME_NUMBER} AND (NOT coalesce({BIRTHS_ALIKE}, false)"
        f" OR coalesce({_SOUND_NAMES}, false))",
        holds=_other_birth,
        zh="出生日期完全不同而无相同的有效证件号",
        en="another birth date altogether, and no number that proves them one",
        apart=False,
    ),
    "newborn": Guard(
        columns=("mother", "id_valid", "birth"),
        sql=f"(l.mother IS NOT NULL OR r.mother IS NOT NULL) AND NOT {_OWN_NUMBER}",
        holds=_newborn,
        zh="以母亲姓名登记的新生儿",
        en="a newborn registered under its mother's name",
        apart=False,
    ),
    "other_sex": Guard(
        columns=("sex",),
        sql="l.sex <> r.sex",
        holds=_other_sex,
        zh="性别不同",
        en="another sex",
        apart=False,
    ),
    "same_number_other_person": Guard(
        columns=(
            "id_valid",
            "name",
            "sound_sorted",
            "given_sound",
            "given",
            "given_first",
            "given_last",
            "surname_sound",
        ),
        sql=f"{_SAME_NUMBER} AND {_OTHER_GIVEN} AND NOT {_NEAR}",
        holds=_same_number,
        zh="证件号相同而姓名不符",
        en="the same number under another name",
        apart=False,
    ),
}
"""Guards by name; each says the same in Python and in SQL."""
