"""How windows err: what becomes of a fact of a made-up person when somebody types it."""

from __future__ import annotations

from datetime import date
from functools import cache
from random import Random

import _names
from _persons import Levels, Person

from yimatong.standards.regions import divisions

_SEXES = {"M": "1", "F": "2"}


@cache
def _by_sound() -> dict[str, str]:
    """Return, for each common character, those that sound the same (tone and all differ at most in the tone)."""
    from pypinyin import Style, lazy_pinyin  # noqa: PLC0415 -- heavy, wanted once

    found: dict[str, list[str]] = {}
    common = sorted({*_names.OLD_CHARACTERS, *_names.MID_CHARACTERS, *_names.NEW_CHARACTERS})
    more = "韦炜玮纬维薇均君俊钧晶京菁婧静靖敬梅玫媚莉丽利立力励军惠慧蕙辉晖徽鹏朋芳方放洁杰捷宁咛琳林霖琪奇祺淇"
    more += "兰岚澜英瑛颖影欣鑫新心馨怡仪宜艺奕毅义亦雨宇羽语煜玉钰瑜愉妍研岩颜彦艳燕雁浩昊皓豪泽择轩萱宣璇"
    more += "涵寒晗含函佳嘉家加"
    for character in {*common, *more}:
        found.setdefault(lazy_pinyin(character, style=Style.NORMAL)[0], []).append(character)
    return {c: "".join(sorted(set(same) - {c})) for same in found.values() for c in same}


@cache
def _traditional() -> object:
    from opencc import OpenCC  # noqa: PLC0415 -- heavy, wanted once

    return OpenCC("s2t")


def name(draw: Random, levels: Levels, person: Person, *, later: bool) -> str:
    """Return the name as somebody typed it."""
    share = 1.0 if later else 0.4
    surname, given, chance = person.surname, person.given, draw.random() / share
    if "·" in given:
        dot = draw.choice(_names.DOTS) if chance < 0.5 else "·"
        return given.replace("·", dot)
    steps = (levels.homophone, levels.wrong_character, levels.traditional, levels.pinyin_only, levels.surname_changed)
    for step, rate in enumerate(steps):
        if chance < rate:
            return (_homophone, _wrong, _traditional_form, _pinyin, _renamed)[step](draw, surname, given, person)
        chance -= rate
    return surname + given


def _homophone(draw: Random, surname: str, given: str, _person: Person) -> str:
    index = draw.randrange(len(given))
    other = _by_sound().get(given[index], "")
    return surname + (given[:index] + draw.choice(other) + given[index + 1 :] if other else given)


def _wrong(draw: Random, surname: str, given: str, _person: Person) -> str:
    index = draw.randrange(len(given))
    near = [pair.replace(given[index], "") for pair in _names.LOOKALIKE if given[index] in pair]
    other = draw.choice(near) if near else draw.choice(_names.MID_CHARACTERS)
    return surname + given[:index] + other + given[index + 1 :]


def _traditional_form(_draw: Random, surname: str, given: str, _person: Person) -> str:
    return str(_traditional().convert(surname + given))  # type: ignore[attr-defined]


def _pinyin(draw: Random, surname: str, given: str, _person: Person) -> str:
    from pypinyin import Style, lazy_pinyin  # noqa: PLC0415 -- heavy, wanted seldom

    parts = ["".join(lazy_pinyin(part, style=Style.NORMAL)).capitalize() for part in (surname, given)]
    return draw.choice((" ".join(parts), " ".join(parts).upper(), " ".join(reversed(parts)), "".join(parts).lower()))


def _renamed(draw: Random, _surname: str, given: str, person: Person) -> str:
    surname = person.mother[:1] if person.mother else draw.choices(*_names.weighted(_names.SURNAMES))[0]
    return surname + given


def sex(draw: Random, levels: Levels, is_: str) -> str:
    """Return the code of GB/T 2261.1 that was ticked."""
    if draw.random() < levels.sex_wrong:
        return draw.choice("012")
    return _SEXES[is_]


def birth_date(draw: Random, levels: Levels, born: date, *, later: bool) -> str:
    """Return the date as text."""
    share = 1.0 if later else 0.4
    chance = draw.random() / share
    if chance < levels.birth_first_january:
        return f"{born.year}-01-01"
    if chance < levels.birth_first_january + levels.birth_slipped:
        born = _slipped(draw, born)
    return born.isoformat()


def _slipped(draw: Random, born: date) -> date:
    try:
        kind = draw.randrange(4)
        if kind == 0:
            return born.replace(day=born.month, month=born.day)
        if kind == 1:
            return born.replace(day=draw.randint(1, 28))
        if kind == 2:
            return born.replace(month=draw.randint(1, 12))
        return born.replace(year=born.year + draw.choice((-10, -1, 1, 10)))
    except ValueError:
        return born


def id_number(draw: Random, levels: Levels, number: str, born: date) -> str:
    """Return the number as typed: 15 digits of an old card, a digit wrong, two digits swapped."""
    if not number:
        return ""
    if born.year < 1990 and draw.random() < levels.id_15_digits:
        number = number[:6] + number[8:17]
    if draw.random() >= levels.id_mistyped:
        return number
    index = draw.randrange(len(number) - 1)
    if draw.random() < 0.3:
        return number[:index] + number[index + 1] + number[index] + number[index + 2 :]
    digit = draw.choice("0123456789".replace(number[index], ""))
    return number[:index] + digit + number[index + 1 :]


def address(draw: Random, levels: Levels, text: str) -> str:
    """Return the address as typed: the province, the city or their 省 and 市 left out."""
    if draw.random() >= levels.address_shortened:
        return text
    kind = draw.randrange(4)
    if kind == 0:
        return text.removeprefix("陕西省")
    if kind == 1:
        return text.replace("省", "", 1).replace("市", "", 1)
    if kind == 2:
        return text.replace("号楼", "-").replace("单元", "-").replace("室", "")
    cities = [name for code, name in divisions().items() if len(code) == 4 and name in text]
    return text.removeprefix("陕西省").replace(cities[0], "", 1) if cities else text
