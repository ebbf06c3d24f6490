"""Blocking keys: texts that two records of one person all but surely share, and few others do. Pure.

The same keys serve bulk linkage (as columns, equal is a candidate) and the online search (as keyed tokens). Each is
made of two or three facts, so that none is shared by thousands even in a province of 40 million: the commonest full
name (about 1 in 3,500) with a year of birth is shared by some 150. A record without the facts of a key lacks that key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from yimatong.empi.matching import chinese
from yimatong.empi.matching.comparators import Preparation, PreparationFactory
from yimatong.empi.matching.facts import Facts

COLUMNS: Final = {
    f"key_{name}": "VARCHAR"
    for name in (
        "id",
        "phone_year",
        "phone_given",
        "sound_birth",
        "name_year",
        "sound_day",
        "surname_birth",
        "given_birth",
        "door_birth",
        "door_name",
        "id_tail",
    )
}
_NEW_YEAR: Final = "0101"
_ID_LENGTH: Final = 18
_ID_LEAST: Final = 6


def block_keys(facts: Facts) -> list[str]:
    """Return the keys of a record, at most twelve; each begins with its kind, so that kinds never meet."""
    return [f"{name}:{value}" for name, value in _keys(chinese.prepare(facts)).items() if value]


def with_keys(facts: Facts) -> dict[str, Any]:
    """Return the prepared columns of a record with its keys beside them."""
    prepared = chinese.prepare(facts)
    prepared.update(_keys(prepared))
    return prepared


def _keys(of: Mapping[str, Any]) -> dict[str, str | None]:
    """Return every key by column; ``None`` where a fact is missing."""
    birth, phone, door, sex = of["birth"], of["phone"], of["door"], of["sex"] or ""
    sound = of["sound_sorted"]  # the order of the parts does not count: Wei Zhang is Zhang Wei
    given = of["given_sound"] or of["given_first"] or sound
    year = birth and birth[:4]
    # on 1 January half a village is born: day and month say nothing there
    told = birth if birth and birth[4:] != _NEW_YEAR else None
    own = sound if of["mother"] is None else None
    number = of["id_number"]
    surname_sound, given_sound, name = of["surname_sound"], of["given_sound"], of["name"]
    return {
        "key_id": number if number and len(number) >= _ID_LEAST else None,
        "key_id_tail": number[8:] if number and len(number) == _ID_LENGTH else None,
        "key_phone_year": f"{phone}|{year}" if phone is not None and year is not None else None,
        "key_phone_given": f"{phone}|{given}" if phone is not None and given is not None else None,
        "key_sound_birth": f"{sound}|{birth}" if sound is not None and birth is not None else None,
        "key_name_year": f"{name}|{year}" if name is not None and year is not None else None,
        "key_sound_day": f"{sound}|{told[4:]}" if sound is not None and told is not None else None,
        "key_surname_birth": (
            f"{surname_sound}|{told}|{sex}" if surname_sound is not None and told is not None else None
        ),
        "key_given_birth": f"{given_sound}|{told}" if given_sound is not None and told is not None else None,
        "key_door_birth": f"{door}|{birth}" if door is not None and birth is not None else None,
        "key_door_name": f"{door}|{own}" if door is not None and own is not None else None,
    }


def prepared_chinese(_columns: tuple[str, ...]) -> Preparation:
    """Return the preparation of ``Facts`` of a Chinese population, blocking keys beside the columns compared."""
    return Preparation(columns=chinese.COLUMNS | COLUMNS, prepare=with_keys)


PREPARATIONS: Final[dict[str, PreparationFactory]] = {"chinese": prepared_chinese}
