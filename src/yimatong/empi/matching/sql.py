"""Blocking and scoring as DuckDB SQL, made from the same settings and model as the online scorer. Pure.

Records stand in one table: ``id`` (integer), ``source`` (integer: which of two sets, else 0), the prepared columns, and
``tf_<column>`` (log2 of a value's frequency).
"""

from __future__ import annotations

import math
import re

from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.settings import Block, Comparison, Settings

_SIDE = re.compile(r"\b([lr])\.(\w+)")


def double(value: float) -> str:
    """Return a literal that DuckDB reads as this very double (``1.5`` alone would be a decimal)."""
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def splink(condition: str) -> str:
    """Return a condition over ``l.x`` and ``r.x`` in Splink's words: ``"x_l"`` and ``"x_r"``."""
    return _SIDE.sub(r'"\2_\1"', condition)


def joined(columns: tuple[str, ...]) -> str:
    """Return columns as one text, as the online scorer joins them."""
    return " || '|' || ".join(f"coalesce({column}, '')" for column in columns)


def level(comparison: Comparison) -> str:
    """Return the number of the level that a pair reaches: -1 for not said, else as the comparator counts."""
    made = configuration.comparator(comparison)
    asked = " ".join(f"WHEN {each.sql} THEN {number}" for number, each in enumerate(made.levels[:-1]))
    return f"CASE WHEN {made.missing} THEN -1 {asked} ELSE {len(made.levels) - 1} END"


def weight(model: Model, comparison: Comparison) -> str:
    """Return the weight of a comparison, from its level ``g_<name>`` and the frequencies of both sides."""
    made = configuration.comparator(comparison)
    learnt = model.learnt[comparison.name]
    rare = {each.level: each for each in comparison.frequencies}
    cases = []
    for number, each in enumerate(made.levels):
        shares = learnt[each.name]
        value = double(shares.weight)
        if (by := rare.get(each.name)) is not None:
            ours, theirs = f"l_tf_{by.column}", f"r_tf_{by.column}"
            more = f"{double(by.share)} * ({double(math.log2(shares.u))} - greatest({ours}, {theirs}))"
            value += f" + CASE WHEN {ours} IS NULL OR {theirs} IS NULL THEN 0e0 ELSE {more} END"
        cases.append(f"WHEN {number} THEN {value}")
    return f"CASE g_{comparison.name} {' '.join(cases)} ELSE 0e0 END"


def scored(model: Model, *, records: str, pairs: str) -> str:
    """Return the SELECT over a table of pairs (``l``, ``r``: ids) of levels, weight and guards.

    Columns: ``l``, ``r``, ``weight`` (bits, with the prior), ``guarded`` (a guard holds), ``apart`` (one that also
    forbids a chain does), ``g_<comparison>``.
    """
    settings = model.settings
    levels = "".join(f", {level(each)} AS g_{each.name}" for each in settings.comparisons)
    rare = "".join(
        f", l.tf_{column} AS l_tf_{column}, r.tf_{column} AS r_tf_{column}" for column in settings.frequency_columns
    )
    known = configuration.guards(settings).values()
    guarded = " OR ".join(f"coalesce({each.sql}, false)" for each in known) or "false"
    apart = " OR ".join(f"coalesce({each.sql}, false)" for each in known if each.apart) or "false"
    total = " + ".join((double(model.prior_weight), *(f"({weight(model, each)})" for each in settings.comparisons)))
    shown = "".join(f", g_{each.name}" for each in settings.comparisons)
    return (
        f"SELECT pl AS l, pr AS r, {total} AS weight, guarded, apart{shown} FROM ("  # noqa: S608 -- names of our settings
        f"SELECT p.l AS pl, p.r AS pr, {guarded} AS guarded, {apart} AS apart{levels}{rare}"
        f" FROM {pairs} p JOIN {records} l ON l.id = p.l JOIN {records} r ON r.id = p.r)"
    )


def pairs(settings: Settings, *, records: str, across: bool = False) -> str:
    """Return the SELECT of all pairs that any block of the settings puts together, each once, ``l`` < ``r``.

    ``across``: only pairs of two sources.
    """
    found = " UNION ALL ".join(_block_pairs(block, records=records, across=across) for block in settings.blocks)
    return f"SELECT DISTINCT l, r FROM ({found})"  # noqa: S608 -- names of our settings


def _block_pairs(block: Block, *, records: str, across: bool) -> str:
    left = f"({_keys(block.left, records, block.largest)})"
    right = f"({_keys(block.right, records, block.largest)})" if block.right else left
    order = "l.id <> r.id" if block.right else "l.id < r.id"
    apart = " AND l.source <> r.source" if across else ""
    return (
        f"SELECT least(l.id, r.id) AS l, greatest(l.id, r.id) AS r"  # noqa: S608 -- names of our settings
        f" FROM {left} l JOIN {right} r ON l.key = r.key WHERE {order}{apart}"
    )


def _keys(columns: tuple[str, ...], records: str, largest: int) -> str:
    values = [column_value(column) for column in columns]
    said = " AND ".join(f"{value} IS NOT NULL" for value in values if not value.startswith("unnest"))
    keys = f"SELECT id, source, hash({', '.join(values)}) AS key FROM {records}"  # noqa: S608 -- as above
    if any(value.startswith("unnest") for value in values):
        single = ", ".join(f"{value} AS v{number}" for number, value in enumerate(values))
        named = ", ".join(f"v{number}" for number in range(len(values)))
        keys = f"SELECT id, source, hash({named}) AS key FROM (SELECT id, source, {single} FROM {records})"  # noqa: S608
    if said:
        keys += f" WHERE {said}"
    if largest:
        # not QUALIFY: DuckDB 2.0 plans a self-join of a windowed table as a cross product
        few = f"SELECT key FROM ({keys}) GROUP BY key HAVING count(*) <= {int(largest)}"  # noqa: S608 -- as above
        keys = f"SELECT k.* FROM ({keys}) k SEMI JOIN ({few}) USING (key)"  # noqa: S608 -- as above
    return keys


def column_value(column: str) -> str:
    """Return the value that a block compares: a column, ``name:3`` its first signs, ``keys[]`` each of its items."""
    if column.endswith("[]"):
        return f"unnest({column[:-2]})"
    name, _, signs = column.partition(":")
    return f"substr({name}, 1, {int(signs)})" if signs else name


def splink_block(block: Block) -> str:
    """Return a block as a blocking rule of Splink."""
    right = block.right or block.left
    asked = zip(block.left, right, strict=True)
    return " AND ".join(f"{_sided(ours, 'l')} = {_sided(theirs, 'r')}" for ours, theirs in asked)


def _sided(column: str, side: str) -> str:
    name, _, signs = column.partition(":")
    return f'substr({side}."{name}", 1, {int(signs)})' if signs else f'{side}."{name}"'
