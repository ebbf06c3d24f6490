"""Which counts are refused because a combination of them could be about one person. Pure.

Borders lie on a grid of five years, so that no two counts differ by the people born on a day. A name is nearly a
person already: beside it stands one broad fact at most.
"""

from __future__ import annotations

from datetime import date
from typing import Final, NoReturn

from yimatong.empi.errors import RangeBackwards, StatisticsTooNarrow
from yimatong.empi.statistics.schemas import StatisticsQuery

YEARS: Final = 5
_CITY: Final = 4
_NAME_YEARS: Final = 20
_JANUARY_1: Final = (1, 1)
_DECEMBER_31: Final = (12, 31)


_RULES: Final = {
    "both": (
        "出生日期与年龄只能给出一种",
        "give birth dates or ages, not both",
    ),
    "grid": (
        "出生日期或年龄范围须以五年为界（如 1990-01-01 至 1999-12-31，或 60 至 64 岁）",
        "ranges of birth dates and ages have five-year borders (1990-01-01 to 1999-12-31, or ages 60 to 64)",
    ),
    "twice": (
        "同一维度只能分组一次",
        "group by a dimension once",
    ),
    "wild": (
        "姓名须为完整姓名，不能使用通配符",
        "a name is a whole one, without wild cards",
    ),
    "name_facts": (
        "给出姓名时只能再按性别、省市或宽年龄段统计",
        "beside a name: sex, province or city, or broad ages only",
    ),
    "name_region": (
        "给出姓名时地区不能细于地市",
        "beside a name no region smaller than a city",
    ),
    "name_years": (
        "给出姓名时出生年份范围不能少于 20 年",
        "beside a name 20 years of birth at least",
    ),
    "name_more": (
        "给出姓名时最多再加一个条件或分组",
        "beside a name one more condition or group at most",
    ),
}
"""What each rule says in Chinese and in English."""


def birth_years(wanted: StatisticsQuery, *, today: date) -> tuple[int | None, int | None]:
    """Return the first and the last year of birth asked for; None is open.

    Raises:
        StatisticsTooNarrow, RangeBackwards: the range is not one of the grid.
    """
    dates = wanted.born_from is not None or wanted.born_to is not None
    ages = wanted.age_from is not None or wanted.age_to is not None
    if dates and ages:
        _refuse("both")
    if ages:
        return _by_age(wanted, today)
    first, last = wanted.born_from, wanted.born_to
    if first is not None and ((first.month, first.day) != _JANUARY_1 or first.year % YEARS):
        _refuse("grid")
    if last is not None and ((last.month, last.day) != _DECEMBER_31 or (last.year + 1) % YEARS):
        _refuse("grid")
    return _ordered(first.year if first else None, last.year if last else None)


def check(wanted: StatisticsQuery, years: tuple[int | None, int | None]) -> None:
    """Refuse what is too narrow.

    Raises:
        StatisticsTooNarrow: names the rule.
    """
    groups = wanted.group_by
    if len(set(groups)) != len(groups) or {"age5", "age10"} <= set(groups):
        _refuse("twice")
    if not wanted.name:
        return
    if any(mark in wanted.name for mark in "*?%_"):
        _refuse("wild")
    if wanted.marital or {"marital", "age5"} & set(groups) or wanted.state != "live" or "state" in groups:
        _refuse("name_facts")
    if len(wanted.region_code) > _CITY or ("region" in groups and len(wanted.region_code) >= _CITY):
        _refuse("name_region")
    first, last = years
    if first is not None and last is not None and last - first + 1 < _NAME_YEARS:
        _refuse("name_years")
    facts = [wanted.sex, wanted.region_code, first is not None or last is not None]
    if sum(map(bool, facts)) + len(groups) > 1:
        _refuse("name_more")


def _by_age(wanted: StatisticsQuery, today: date) -> tuple[int | None, int | None]:
    youngest, oldest = wanted.age_from, wanted.age_to
    if (youngest is not None and youngest % YEARS) or (oldest is not None and (oldest + 1) % YEARS):
        _refuse("grid")
    return _ordered(
        None if oldest is None else today.year - oldest, None if youngest is None else today.year - youngest
    )


def _ordered(first: int | None, last: int | None) -> tuple[int | None, int | None]:
    if first is not None and last is not None and last < first:
        raise RangeBackwards
    return first, last


def _refuse(rule: str) -> NoReturn:
    zh, en = _RULES[rule]
    raise StatisticsTooNarrow(rule_zh=zh, rule_en=en)
