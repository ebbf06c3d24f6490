"""Counts by any combination of name, sex, address, birth date and marital status (guiding plan 5.2.2.5).

What may be asked is in ``rules``, what of the answer may be told in ``disclosure``. A table says also what it hides:
every sex, age band and known division has its cell whether or not anybody is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import product

import msgspec

from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi import search_tokens as tokens
from yimatong.empi.statistics import disclosure, groups, queries, rules
from yimatong.empi.statistics.disclosure import Key
from yimatong.empi.statistics.schemas import Cell, Counted, StatisticsQuery
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.spreadsheets import csv_bytes


async def count(
    connection: Connection, vault: Vault, wanted: StatisticsQuery, *, min_cell: int, now: datetime
) -> Counted:
    """Count persons; ``min_cell`` is the smallest number that may be told, and the step of rounding.

    Raises:
        StatisticsTooNarrow, RangeBackwards: see ``rules``.
    """
    today = business_date(now)
    years = rules.birth_years(wanted, today=today)
    rules.check(wanted, years)
    blinder = await vault.blinder()
    name = tokens.comparable(wanted.name)
    digits = groups.digits(wanted.region_code)
    domains = [groups.domain(each, wanted, digits) for each in wanted.group_by]
    rows = await queries.counts(
        connection,
        wanted,
        years=years,
        name_token=blinder.whole_name_token(name) if name else None,
        digits=digits,
        year=today.year,
    )
    numbers: dict[Key, int] = dict.fromkeys(product(*domains), 0)
    for row in rows:
        key = tuple(map(groups.code_of, row[1:], domains))
        numbers[key] = numbers.get(key, 0) + row.number
    cells, lines = list(numbers), _lines(numbers, domains)
    for inside, total in lines:
        numbers[total] = sum(numbers[key] for key in inside)
    told = disclosure.told(numbers, lines, least=min_cell, draw=_draw(blinder, wanted, years, today.year))
    margins = [key for key in numbers if key not in set(cells) and any(key)]

    def cell(key: Key) -> Cell:
        named = [groups.names(each, code) for each, code in zip(wanted.group_by, key, strict=True)]
        return Cell(
            keys=key, labels_zh=tuple(zh for zh, _ in named), labels_en=tuple(en for _, en in named), count=told[key]
        )

    return Counted(
        group_by=wanted.group_by,
        cells=tuple(map(cell, cells)) if wanted.group_by else (),
        margins=tuple(map(cell, margins)),
        total=told[("",) * len(domains)],
        min_cell=min_cell,
        rounded_to=min_cell,
    )


def csv(counted: Counted, language: str) -> bytes:
    """Write a table for a spreadsheet: a row a cell, margins and total after them; a hidden count is ``<n``."""
    zh = language.startswith("zh")
    head = [groups.HEADS[each][0 if zh else 1] for each in counted.group_by]
    rows: list[Sequence[object]] = [[*head, "人数" if zh else "persons"]]
    total = Cell(
        keys=("",) * len(head), labels_zh=("合计",) * len(head), labels_en=("total",) * len(head), count=counted.total
    )
    for cell in (*counted.cells, *counted.margins, total):
        number = f"<{counted.min_cell}" if cell.count is None else cell.count
        rows.append([*(cell.labels_zh if zh else cell.labels_en), number])
    note = (
        f"人数按 {counted.rounded_to} 取整，少于 {counted.min_cell} 人的不显示，各项之和可能不等于合计"
        if zh
        else f"rounded to {counted.rounded_to}; fewer than {counted.min_cell} are hidden; parts need not add up"
    )
    return csv_bytes([*rows, [note]])


def _lines(numbers: dict[Key, int], domains: Sequence[Sequence[str]]) -> list[tuple[list[Key], Key]]:
    """Return which cells add up to which total, the innermost first."""
    size = len(domains)
    if size == 0:
        return []
    if size == 1:
        return [(list(numbers), ("",))]
    first, second = (dict.fromkeys(key[i] for key in numbers) for i in (0, 1))
    rows: list[tuple[list[Key], Key]] = [([(a, b) for b in second], (a, "")) for a in first]
    rows += [([(a, b) for a in first], ("", b)) for b in second]
    return [*rows, ([(a, "") for a in first], ("", "")), ([("", b) for b in second], ("", ""))]


def _draw(
    blinder: Blinder, wanted: StatisticsQuery, years: tuple[int | None, int | None], year: int
) -> disclosure.Draw:
    """Return the secret numbers of cells. A cell is what its conditions say, however it was asked for."""
    fixed = {"name": tokens.comparable(wanted.name), "sex": wanted.sex, "region": wanted.region_code}
    fixed |= {"marital": wanted.marital, "state": wanted.state}

    def draw(key: Key, below: int) -> int:
        said: dict[str, object] = dict(fixed)
        first, last = years
        for group, code in zip(wanted.group_by, key, strict=True):
            if not code:
                continue
            if group in groups.BANDS and code != groups.OTHER:
                first, last = _narrower((first, last), code, year)
            else:
                said[group] = f"{wanted.region_code}/{code}" if code == groups.OTHER else code
        text = msgspec.json.encode([below, said, first, last], order="sorted")
        return int.from_bytes(blinder.digest("statistics", text)[:8], "big") % below

    return draw


def _narrower(years: tuple[int | None, int | None], band: str, year: int) -> tuple[int | None, int | None]:
    """Return the years of birth that a range and an age band have in common."""
    youngest, _, oldest = band.rstrip("+").partition("-")
    firsts = [each for each in (years[0], year - int(oldest) if oldest else None) if each is not None]
    lasts = [each for each in (years[1], year - int(youngest)) if each is not None]
    return max(firsts, default=None), min(lasts)
