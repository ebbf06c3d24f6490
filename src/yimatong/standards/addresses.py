"""Addresses as people write them, taken apart: region, town, road or village, estate, and the numbers of the door.

Regions by the tree of GB/T 2260 (``regions``), with or without 省, 市, 县 and with levels left out (陕西安康镇坪县,
镇坪县). What follows has no standard of its own; words and numbers are told apart: 解放路61号祥和小区26号楼2单元1604室
is the road 解放路, the estate 祥和小区 and the numbers 61, 26, 2, 1604, and so is 解放路61号祥和小区26-2-1604.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final, NamedTuple

from yimatong.standards.regions import divisions

_PROVINCE, _CITY, _COUNTY = 2, 4, 6
_SHORT: Final = 2
_SUFFIX: Final = re.compile(
    "(?:特别行政区|(?:壮族|回族|维吾尔)?自治区|省|市|地区|盟|(?:.{1,3}族)+自治[州县]|自治[州县旗]|(?<=神农架)林区|区|县|旗)$"
)
_AS_ROAD: Final = re.compile("[路街道大巷]|[东西南北中一二三四五六七八九十][路街大]")
_AS_PLACE: Final = frozenset("村镇乡里小")
"""What follows 和平 in 和平路 and 南京 in 南京西路: a road, and a village or town, that is called like a division."""

_NUMERALS: Final = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_SPOKEN: Final = re.compile("([零〇一二两三四五六七八九十]+)(?=号|栋|幢|座|楼|单元|室|层|组|队|户|排)")
_TOWN: Final = re.compile("^(?:(.{2,6}?)(?:街道办事处|街道办|街道|镇|乡|苏木)(?![0-9路街巷]))")
_SPOKEN_DIGITS: Final = frozenset("零〇一二两三四五六七八九十")
_TOWN_WORDS: Final = frozenset("街镇乡苏")
_FLOOR: Final = re.compile("[0-9]+(?:层|(?<!号)楼)(?=[0-9]{3,4})")
_NUMBER: Final = re.compile("[0-9]+[a-z]?")
_UNITS: Final = re.compile("号院|号楼|单元|号|栋|幢|座|楼|室|层|户|组|队|排|[#\\-—–~/\\\\,，。;；、()（）]+|房间?$")
_ROAD: Final = re.compile("^(.{1,10}?(?:大道|大街|路|街|巷|弄|胡同))")
_NOISE: Final = re.compile(r"[\s,，。;；、]+")


class Address(NamedTuple):
    """``region`` is a code of two to six digits or empty; ``road`` a road or village, ``estate`` what else is named."""

    region: str
    town: str
    road: str
    estate: str
    numbers: tuple[str, ...]

    @property
    def door(self) -> str:
        """The last three numbers: building, unit and room, or group and house; empty without two numbers."""
        return "-".join(self.numbers[-3:]) if len(self.numbers) > 1 else ""


class _Name(NamedTuple):
    code: str
    shortened: bool


@cache
def _named() -> tuple[dict[str, list[_Name]], dict[str, tuple[int, ...]]]:
    """Return codes by name, long and short; and for each first character the lengths of names, the longest first."""
    found: dict[str, list[_Name]] = {}
    for code, name in divisions().items():
        found.setdefault(name, []).append(_Name(code, shortened=False))
        short = _SUFFIX.sub("", name)
        if len(short) >= _SHORT and short != name:
            found.setdefault(short, []).append(_Name(code, shortened=True))
    lengths: dict[str, set[int]] = {}
    for name in found:
        lengths.setdefault(name[0], set()).add(len(name))
    return found, {first: tuple(sorted(sizes, reverse=True)) for first, sizes in lengths.items()}


@lru_cache(maxsize=4096)
def standardise(text: str) -> Address:
    """Return the parts of an address; what is not said is empty. Nothing is refused.

    A household's records stand near each other in most sources: the last few thousand answers are kept.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    if not plain.isalnum():
        plain = _NOISE.sub("", plain)
    region, rest = _region(plain)
    if not _SPOKEN_DIGITS.isdisjoint(rest):
        rest = _SPOKEN.sub(lambda found: str(_number(found[1])), rest)
    town = None if _TOWN_WORDS.isdisjoint(rest) else _TOWN.match(rest)
    if town:
        rest = rest[town.end() :]
    if "楼" in rest or "层" in rest:
        rest = _FLOOR.sub("", rest)
    numbers = tuple([each.lstrip("0") or "0" for each in _NUMBER.findall(rest)])
    words = [word for each in _NUMBER.split(_UNITS.sub("0", rest)) if (word := each.strip("0"))]
    road, estate = "", ""
    if words:
        found = _ROAD.match(words[0])
        road = found[1] if found else words[0]
        estate = "".join([words[0][len(road) :], *words[1:]])
    return Address(region, town[1] if town else "", road, estate, numbers)


def _region(text: str) -> tuple[str, str]:
    code, begin = "", 0
    names, lengths = _named()
    while len(code) < _COUNTY:
        for size in lengths.get(text[begin : begin + 1], ()):
            name = text[begin : begin + size]
            if name not in names:
                continue
            below = _below(name, code, text[begin + size : begin + size + 2])
            if below is not None:
                code, begin = below or code, begin + size
                break
        else:
            break
    return code, text[begin:]


@lru_cache(maxsize=65_536)
def _below(name: str, code: str, following: str) -> str | None:
    """Return the code of the one division of that name below ``code``; empty for several, ``None`` for none."""
    found = []
    for each, shortened in _named()[0][name]:
        if not each.startswith(code) or len(each) <= len(code):
            continue
        if shortened and (_AS_ROAD.match(following) or (len(each) == _COUNTY and not (code and _clear(following)))):
            continue
        found.append(each)
    if not found:
        return None
    nearest = min(found, key=len)
    same = [each for each in found if len(each) == len(nearest)]
    return nearest if len(same) == 1 else ""


def _clear(following: str) -> bool:
    return following[:1] not in _AS_PLACE


def _number(spoken: str) -> int:
    tens, ten, ones = spoken.rpartition("十")
    if ten:
        return (_NUMERALS.get(tens, 1) * 10) + _NUMERALS.get(ones, 0)
    return int("".join(str(_NUMERALS[each]) for each in spoken))
