"""Wire shapes of statistics over the person index."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Dimension = Literal["sex", "region", "age5", "age10", "marital", "state"]
"""What counts are grouped by. ``region`` is one level below the region asked for; ages are those reached this year."""


class StatisticsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to count; everything given must fit. Empty: everybody.

    ``name``: one whole name, found by its token. ``region_code``: a division by GB/T 2260 with everything in it.
    ``born_from`` and ``born_to`` lie on five-year borders (1 January of a year that ends in 0 or 5, 31 December of one
    that ends in 4 or 9); ``age_from`` and ``age_to`` likewise (0, 5, 10 ... to 4, 9, 14 ...).
    """

    name: Annotated[str, Meta(max_length=100, examples=["张伟"])] = ""
    sex: Annotated[str, Meta(pattern="^[0129]?(?!\\n)$", description="GB/T 2261.1")] = ""
    region_code: Annotated[str, Meta(pattern="^([0-9]{2}|[0-9]{4}|[0-9]{6})?(?!\\n)$", examples=["6101"])] = ""
    born_from: date | None = None
    born_to: date | None = None
    age_from: Annotated[int, Meta(ge=0, le=150)] | None = None
    age_to: Annotated[int, Meta(ge=0, le=150)] | None = None
    marital: Annotated[str, Meta(pattern="^([0-9]{2})?(?!\\n)$", description="GB/T 2261.2")] = ""
    state: Literal["live", "deceased", "cancelled", "any"] = "live"
    group_by: Annotated[tuple[Dimension, ...], Meta(max_length=2, examples=[["region", "sex"]])] = ()


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One count. ``keys`` are the codes in the order of ``group_by``; in a margin one of them is empty.

    ``count`` is rounded; None means fewer than may be told, nobody included, or hidden so that nobody can work out
    another hidden count from it.
    """

    keys: tuple[str, ...]
    labels_zh: tuple[str, ...]
    labels_en: tuple[str, ...]
    count: int | None


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A table of counts. ``margins`` are the totals by one group where there are two; ``total`` is everybody counted.

    Every number is rounded by itself to a multiple of ``rounded_to``, so parts need not add up to a total.
    """

    group_by: tuple[Dimension, ...]
    cells: tuple[Cell, ...]
    margins: tuple[Cell, ...]
    total: int | None
    min_cell: int
    rounded_to: int
