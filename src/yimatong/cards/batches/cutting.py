"""Cutting a file into chunks. A row that names somebody a second time waits until all first ones are done. Pure.

So what becomes of a list never depends on which of its chunks is done first: the second row of a certificate is
compared with what its first row brought about, and counts itself only where the first one was refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec

from yimatong.cards.batches.reading import BROKEN_NUMBER

ROWS: Final = 500
_NUMBER_LENGTH: Final = 18

Row = list[Any]
"""Number in the file, number of the first row that says the same (0: none), value of each field."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one chunk. ``late``: they repeat others and are done after all the rest."""

    rows: list[Row]
    late: bool


def pieces(found: Iterable[tuple[int, list[str]]], kind: str, fields: Mapping[str, int]) -> Iterator[Piece]:
    """Yield the chunks of a file, the repeated rows last.

    A row repeats another of the same certificate; with visit cards, of the same certificate and the same card. The
    registry judges repeated physical cards itself. One key a row is kept: about 120 bytes.
    """
    places = list(fields.values())
    told = _places(kind, fields)
    first: dict[object, int] = {}
    late: list[Row] = []

    def once() -> Iterator[Row]:
        for number, cells in found:
            key = _key([_cell(cells, place) for place in told])
            before = number if key is None else first.setdefault(key, number)
            row: Row = [number, 0, *(_cell(cells, place) for place in places)]
            if before == number:
                yield row
            else:
                row[1] = before
                late.append(row)

    rows = once()
    while part := list(islice(rows, ROWS)):
        yield Piece(rows=part, late=False)
    for start in range(0, len(late), ROWS):
        yield Piece(rows=late[start : start + ROWS], late=True)


def _places(kind: str, fields: Mapping[str, int]) -> list[int]:
    """Return the columns that tell two rows apart; none where repeated rows are no matter of ours."""
    if kind == "physical-cards":
        return []
    also = ["visit_card"] if kind == "visit-cards" else []
    return [fields.get(name, -1) for name in ("id_number", "id_type", *also)]


def _key(told: list[str]) -> object:
    """Return what two rows of one certificate share; None for a row that has no number to speak of."""
    if not told or not told[0] or told[0] == BROKEN_NUMBER:
        return None
    number, *others = (unicodedata.normalize("NFKC", each).upper() for each in told)
    if len(number) == _NUMBER_LENGTH and number[:-1].isascii() and number[:-1].isdigit():
        others[0] = ""  # an identity number by its shape, however its type is written
    if not any(others):
        return number
    return (number, *others)


def _cell(cells: list[str], place: int) -> str:
    return cells[place] if 0 <= place < len(cells) else ""
