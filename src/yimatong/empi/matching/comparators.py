"""What a comparator is: one question about two prepared records, answered alike by Python and by DuckDB. Pure.

A *preparation* turns a record into plain columns once (text, integers, lists; ``None`` for not said); the online scorer
and bulk linkage compare the very same columns. A *comparator* ranks two prepared records: its ``compare`` gives the
index of the level reached or ``MISSING``; its levels carry the same question as SQL over ``l.column`` and ``r.column``,
asked in order, the last one being everything else. A *guard* forbids an automatic link whatever the weight.

To add a comparator, write a factory in a module of this folder, list it in that module's ``COMPARATORS``, name it in a
settings file, and let ``tests/empi/matching/test_same_score.py`` draw pairs for it::

    def exact(columns: tuple[str, ...]) -> Comparator:
        (column,) = columns
        def compare(left: Prepared, right: Prepared) -> int:
            ours, theirs = left[column], right[column]
            if ours is None or theirs is None:
                return MISSING
            return 0 if ours == theirs else 1
        return Comparator(
            columns=columns,
            missing=f"l.{column} IS NULL OR r.{column} IS NULL",
            levels=(
                Level(name="exact", sql=f"l.{column} = r.{column}", zh="相同", en="the same"),
                Level(name="else", sql="", zh="不同", en="different"),
            ),
            compare=compare,
        )

Rules: ``compare`` is symmetric; SQL names columns as ``l.x`` and ``r.x`` only (Splink's ``x_l`` is made from it);
DuckDB counts the bytes of a text in distances, so Python hands bytes to rapidfuzz too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

Prepared = Mapping[str, Any]
"""One record in prepared columns. Frequencies of its values stand beside them as ``tf_<column>`` (log2, <= 0)."""

MISSING: Final = -1
"""Nothing to compare: the level of weight 0."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a comparator. ``sql`` is empty for the last one: everything else."""

    name: str
    sql: str
    zh: str
    en: str


class Comparator(msgspec.Struct, frozen=True, kw_only=True):
    """A question with ordered answers. ``missing`` is the SQL of "not said by one of both"."""

    columns: tuple[str, ...]
    missing: str
    levels: tuple[Level, ...]
    compare: Callable[[Prepared, Prepared], int]


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A reason never to link by machine; ``sql`` over ``l.column`` and ``r.column`` says the same as ``holds``.

    ``apart``: the pair must not come together over others either (it speaks against one person); else only the pair
    itself proves too little, and a third record may.
    """

    columns: tuple[str, ...]
    sql: str
    holds: Callable[[Prepared, Prepared], bool]
    zh: str
    en: str
    apart: bool = True


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """How a record becomes columns: the DuckDB type of each, and the function that fills them all."""

    columns: dict[str, str]
    prepare: Callable[[Any], dict[str, Any]]


ComparatorFactory = Callable[[tuple[str, ...]], Comparator]
PreparationFactory = Callable[[tuple[str, ...]], Preparation]


def absent(*columns: str) -> str:
    """Return the SQL of: one of both records does not say one of these columns."""
    return " OR ".join(f"l.{column} IS NULL OR r.{column} IS NULL" for column in columns)


def exact(columns: tuple[str, ...]) -> Comparator:
    """Return: the same or not; of one column."""
    (column,) = columns

    def compare(left: Prepared, right: Prepared) -> int:
        ours, theirs = left[column], right[column]
        if ours is None or theirs is None:
            return MISSING
        return 0 if ours == theirs else 1

    return Comparator(
        columns=columns,
        missing=absent(column),
        levels=(
            Level(name="exact", sql=f"l.{column} = r.{column}", zh="相同", en="the same"),
            Level(name="else", sql="", zh="不同", en="different"),
        ),
        compare=compare,
    )


def slips(columns: tuple[str, ...]) -> Comparator:
    """Return: the same, one slip of the pen apart (wrong, missing, surplus or swapped sign), two, or more; ASCII."""
    (column,) = columns

    def compare(left: Prepared, right: Prepared) -> int:
        ours, theirs = left[column], right[column]
        if ours is None or theirs is None:
            return MISSING
        if ours == theirs:
            return 0
        return min(int(DamerauLevenshtein.distance(ours.encode(), theirs.encode(), score_cutoff=2)), 3)

    distance = f"damerau_levenshtein(l.{column}, r.{column})"
    return Comparator(
        columns=columns,
        missing=absent(column),
        levels=(
            Level(name="exact", sql=f"l.{column} = r.{column}", zh="相同", en="the same"),
            Level(name="one", sql=f"{distance} <= 1", zh="差一处", en="one slip"),
            Level(name="two", sql=f"{distance} <= 2", zh="差两处", en="two slips"),
            Level(name="else", sql="", zh="不同", en="different"),
        ),
        compare=compare,
    )


_CLOSE: Final = (0.92 - 1e-9, 0.8 - 1e-9)
"""A hair below, so that the last digit of a quotient never decides which side a pair falls on."""


def similar(columns: tuple[str, ...]) -> Comparator:
    """Return: the same, written in the other column, much alike (Jaro-Winkler >= .92), somewhat alike (>= .8), or not.

    Of one column; a second one is where the value may have slipped to (given name and surname swapped).
    """
    column, other = columns if len(columns) > 1 else (columns[0], "")

    def compare(left: Prepared, right: Prepared) -> int:
        ours, theirs = left[column], right[column]
        if ours is None or theirs is None:
            return MISSING
        if ours == theirs:
            return 0
        if other and (ours == right[other] or theirs == left[other]):
            return 1
        near = JaroWinkler.similarity(ours.encode(), theirs.encode())
        return skipped + (1 if near >= _CLOSE[0] else 2 if near >= _CLOSE[1] else 3)

    skipped = 1 if other else 0
    swapped = f"l.{column} = r.{other} OR r.{column} = l.{other}"
    near = f"jaro_winkler_similarity(l.{column}, r.{column})"
    return Comparator(
        columns=columns,
        missing=absent(column),
        levels=(
            Level(name="exact", sql=f"l.{column} = r.{column}", zh="相同", en="the same"),
            *([Level(name="swapped", sql=swapped, zh="写在另一栏", en="written in the other column")] if other else []),
            Level(name="close", sql=f"{near} >= {_CLOSE[0]}", zh="很相近", en="much alike"),
            Level(name="near", sql=f"{near} >= {_CLOSE[1]}", zh="相近", en="alike"),
            Level(name="else", sql="", zh="不同", en="different"),
        ),
        compare=compare,
    )


def as_given(columns: tuple[str, ...]) -> Preparation:
    """Return the preparation of rows whose columns are compared as they are: trimmed text, empty for not said."""

    def prepare(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            column: (str(row[column]).strip() or None) if row.get(column) is not None else None for column in columns
        }

    return Preparation(columns=dict.fromkeys(columns, "VARCHAR"), prepare=prepare)


COMPARATORS: Final[dict[str, ComparatorFactory]] = {"exact": exact, "slips": slips, "similar": similar}
GUARDS: Final[dict[str, Guard]] = {}
PREPARATIONS: Final[dict[str, PreparationFactory]] = {"as_given": as_given}
