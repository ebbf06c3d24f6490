"""The groups of a table: which codes each shows, whether or not anybody has them, and what people call them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yimatong.empi.statistics.schemas import Dimension, StatisticsQuery
from yimatong.standards import regions
from yimatong.standards.codes import MARITAL, SEX

OTHER: Final = "other"
"""Code of divisions that the tables do not know, and of persons without one."""

BANDS: Final = {"age5": (5, 19), "age10": (10, 9)}
"""Years of a band, and the number of the last one, which is open."""

HEADS: Final = {
    "sex": ("性别", "sex"),
    "region": ("地区", "region"),
    "age5": ("年龄", "age"),
    "age10": ("年龄", "age"),
    "marital": ("婚姻状况", "marital status"),
    "state": ("状态", "state"),
}
_STATES: Final = {"live": ("在册", "live"), "deceased": ("死亡", "deceased"), "cancelled": ("注销", "cancelled")}
_SPECIAL: Final = {"": ("合计", "total"), OTHER: ("其他或未知", "other or unknown")}
_CODE_DIGITS: Final = 6


def digits(region_code: str) -> int:
    """Return how many digits the divisions below a division have; a municipality has no prefectures."""
    wanted = min(len(region_code) + 2, _CODE_DIGITS)
    below = any(len(code) == wanted and code.startswith(region_code) for code in regions.divisions())
    return wanted if below else _CODE_DIGITS


def domain(dimension: Dimension, wanted: StatisticsQuery, size: int) -> list[str]:
    """Return every code that a group shows, whether or not anybody has it."""
    if dimension == "sex":
        return [wanted.sex] if wanted.sex else list(SEX)
    if dimension == "marital":
        return [wanted.marital] if wanted.marital else [*MARITAL, OTHER]
    if dimension == "state":
        return list(_STATES) if wanted.state == "any" else [wanted.state]
    if dimension == "region":
        known = sorted(each for each in regions.divisions() if len(each) == size)
        return [*(each for each in known if each.startswith(wanted.region_code)), OTHER]
    years, last = BANDS[dimension]
    return [*(_band(number, years, last) for number in range(last + 1)), OTHER]


def _band(number: int, years: int, last: int) -> str:
    return f"{number * years}+" if number == last else f"{number * years}-{number * years + years - 1}"


def code_of(value: object, codes: Sequence[str]) -> str:
    """Return the code that a value of the database stands for; a band comes as its number."""
    if isinstance(value, int):
        return codes[value]
    return str(value) if value in codes else OTHER


def names(dimension: Dimension, code: str) -> tuple[str, str]:
    """Return what a code is called in Chinese and in English; an empty code is the total."""
    if code in _SPECIAL:
        return _SPECIAL[code]
    if dimension == "region":
        name = regions.divisions().get(code, code)
        return name, f"{name} {code}"
    if dimension in BANDS:
        return f"{code}岁" if code[-1] != "+" else f"{code[:-1]}岁及以上", code
    zh, en = {"sex": SEX, "marital": MARITAL}.get(dimension, _STATES)[code]
    return zh, en
