"""Who may see which records and what is looked for, said once and written for two databases.

PostgreSQL has the months that are kept online, DuckDB reads the archived ones; the same list of conditions makes both
statements, so that a month answers alike before and after it was archived.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from yimatong.access.caller import Scope
from yimatong.cards.records.schemas import Filters

COLUMNS: Final = (
    *("vuid", "record_id", "at", "event", "code_kind", "purpose", "result", "caller_id"),
    *("institution_id", "front_id", "request_id", "key_version", "took_ms"),
)
FIELDS: Final = {
    "institution": "institution_id",
    "terminal": "caller_id",
    "front": "front_id",
    "event": "event",
    "kind": "code_kind",
    "purpose": "purpose",
    "result": "result",
}
"""What records are counted by, and the column that has it; spans of time are each database's own."""

Mark = tuple[datetime, str]
"""(at, record_id) of the last record of the page before."""


class Condition(NamedTuple):
    """A column compared with a value: ``=``, ``<>``, ``<``, ``>=``, ``in`` or ``is`` (NULL)."""

    column: str
    operator: str
    value: Any


def conditions(scope: Scope, filters: Filters) -> list[Condition]:
    """Return the scope's own condition and one for every filter that is set."""
    found = [*_own(scope)]
    for column in ("event", "code_kind", "result", "purpose", "institution_id", "caller_id", "front_id", "record_id"):
        wanted = getattr(filters, column)
        if wanted is not None:
            found.append(Condition(column, "=", wanted))
    if filters.refused:
        found.append(Condition("result", "<>", "ok"))
    if filters.vuids:
        found.append(Condition("vuid", "in", list(filters.vuids)))
    if filters.since is not None:
        found.append(Condition("at", ">=", filters.since))
    if filters.until is not None:
        found.append(Condition("at", "<", filters.until))
    return found


def _own(scope: Scope) -> Sequence[Condition]:
    """Keep a scope to its own rows. What a caller without an institution stored has none either: the index is used."""
    if scope.all_rows:
        return ()
    if scope.institution_id is not None:
        return (Condition("institution_id", "=", scope.institution_id),)
    return (Condition("institution_id", "is", None), Condition("caller_id", "=", scope.caller_id))


def duck_where(found: Sequence[Condition], after: Mark | None) -> tuple[str, list[object]]:
    """Return the conditions as DuckDB's SQL with its parameters; ``at`` is UTC there."""
    parts, values = ["true"], []
    for column, operator, value in found:
        if operator == "is":
            parts.append(f"{column} IS NULL")
        elif operator == "in":
            parts.append(f"list_contains(?, {column})")
            values.append(value)
        else:
            parts.append(f'"at" {operator} make_timestamp(?)' if column == "at" else f"{column} {operator} ?")
            values.append(micros(value) if column == "at" else value)
    if after is not None:
        parts.append('("at" < make_timestamp(?) OR ("at" = make_timestamp(?) AND record_id < ?))')
        values += [micros(after[0]), micros(after[0]), after[1]]
    return " AND ".join(parts), values


def micros(moment: datetime) -> int:
    """Return microseconds since 1970, without a float in between."""
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
