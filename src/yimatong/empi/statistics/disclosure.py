"""What of a table of counts may be told. Pure.

Three rules, in this order (docs/spec/search.md; what they leave open: docs/security/leakage.md):

1. A count below the smallest cell is hidden, nobody included. The border lies a little higher by a secret amount that
   belongs to the cell's definition, so that nobody learns a count by adding records until it appears.
2. Hidden counts of one line must not be told by the line's total: while a line with a told total hides fewer than the
   smallest cell, or one cell alone, its smallest told cell is hidden too; where none is left, its total is.
3. What is told is rounded to a multiple of the smallest cell, from a secret offset of the cell's definition: the same
   question has the same answer for ever, and two questions that differ by a few persons tell no exact difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Key = tuple[str, ...]
"""Codes of a cell; an empty text stands for all of that group."""

Draw = Callable[[Key, int], int]
"""A secret number from 0 to n-1 of a cell's definition, the same for ever."""


class _Line(NamedTuple):
    """Cells that add up to a total."""

    cells: tuple[Key, ...]
    total: Key


def told(
    counts: Mapping[Key, int], lines: Sequence[tuple[Sequence[Key], Key]], *, least: int, draw: Draw
) -> dict[Key, int | None]:
    """Return what may be told of every cell and total; None is hidden.

    ``counts``: the true numbers by key, totals included. ``lines``: which cells add up to which total.
    """
    hidden = {key for key, number in counts.items() if number < least + draw(key, max(least // 2, 1))}
    fixed = [_Line(tuple(cells), total) for cells, total in lines]
    while _hide_more(hidden, counts, fixed, least):
        pass
    return {key: None if key in hidden else _rounded(number, least, draw(key, least)) for key, number in counts.items()}


def _hide_more(hidden: set[Key], counts: Mapping[Key, int], lines: Sequence[_Line], least: int) -> bool:
    """Hide one more count where a line gives one away; say whether there was one."""
    for line in lines:
        if line.total in hidden:
            continue
        inside = [key for key in line.cells if key in hidden]
        if not inside or (len(inside) > 1 and sum(counts[key] for key in inside) >= least):
            continue
        shown = [key for key in line.cells if key not in hidden]
        hidden.add(min(shown, key=lambda key: (counts[key], key)) if shown else line.total)
        return True
    return False


def _rounded(number: int, base: int, offset: int) -> int:
    return (number + offset) // base * base
