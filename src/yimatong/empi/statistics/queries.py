"""The one SELECT behind every table of counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Row, Select, case, cast, extract, func, literal, select

from yimatong.empi.models import person
from yimatong.empi.statistics.groups import BANDS
from yimatong.empi.statistics.schemas import Dimension, StatisticsQuery
from yimatong.kit.db import Connection

_STATE: Final = case(
    (person.c.state == "cancelled", "cancelled"), (person.c.deceased_on.is_not(None), "deceased"), else_="live"
)


async def counts(
    connection: Connection,
    wanted: StatisticsQuery,
    *,
    years: tuple[int | None, int | None],
    name_token: int | None,
    digits: int,
    year: int,
) -> Sequence[Row[Any]]:
    """Return (number, code of each group ...); persons retired into others are not counted twice.

    ``digits``: how much of a division's code a group of regions shows; ``year``: the one in which ages are reached.
    """
    groups = [_group(each, digits, year).label(each) for each in wanted.group_by]
    query: Select[Any] = select(func.count().label("number"), *groups).where(person.c.state != "retired")
    for condition in _conditions(wanted, years, name_token):
        query = query.where(condition)
    if groups:
        query = query.group_by(*groups)
    rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
    return rows


def _group(dimension: Dimension, digits: int, year: int) -> ColumnElement[Any]:
    if dimension == "sex":
        return person.c.sex
    if dimension == "region":
        return func.coalesce(func.left(person.c.region_code, digits), "")
    if dimension == "marital":
        return func.coalesce(person.c.marital, "")
    if dimension == "state":
        return _STATE
    years, last = BANDS[dimension]
    age = func.greatest(literal(year) - cast(extract("year", person.c.birth_date), Integer), 0)
    return case((person.c.birth_date.is_not(None), func.least(age.op("/")(years), last)))


def _conditions(
    wanted: StatisticsQuery, years: tuple[int | None, int | None], name_token: int | None
) -> list[ColumnElement[bool]]:
    first, last = years
    found: list[ColumnElement[bool]] = []
    if name_token is not None:
        found.append(person.c.search_tokens.op("@>")(cast([name_token], person.c.search_tokens.type)))
    if wanted.sex:
        found.append(person.c.sex == wanted.sex)
    if wanted.region_code:
        upper = str(int(wanted.region_code) + 1).zfill(len(wanted.region_code))
        found += [person.c.region_code.collate("C") >= wanted.region_code, person.c.region_code.collate("C") < upper]
    if first is not None:
        found.append(person.c.birth_date >= date(first, 1, 1))
    if last is not None:
        found.append(person.c.birth_date <= date(last, 12, 31))
    if wanted.marital:
        found.append(person.c.marital == wanted.marital)
    if wanted.state != "any":
        found.append(literal(wanted.state) == _STATE)
    return found
