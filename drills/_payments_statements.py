"""Statements without the layers above libpq: most of a seed's time would be theirs.

SQLAlchemy compiles (once for each form of a statement) and converts values as ever; what it made is prepared on the
connection and executed by libpq at once. Whatever is not one plain statement (many rows, defaults made in Python) goes
SQLAlchemy's usual way, on the same connection in the same transaction. Errors are SQLAlchemy's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import TextClause
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError

_NAMED: Final = re.compile(r"%\((\w+)\)s|%%")
_WRITES: Final = re.compile(
    r"\binsert\s+into\b|\bdelete\s+from\b|\bmerge\s+into\b|\bupdate\s+\w+(\s+(as\s+)?\w+)?\s+set\b|\w_\w+\(",
    re.IGNORECASE,
)
"""A statement that may change something: it says so, or calls a function of ours."""
_DONE: Final = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
Processor = Callable[[Any], Any]
Parameters = Mapping[str, object] | Sequence[Mapping[str, object]] | None


class Rows(IteratorResult[Any]):
    """What a statement answers; ``rowcount`` as the server says it."""

    rowcount = -1


class _Plan(NamedTuple):
    """A statement as the server takes it: words with ``$1``, the names behind them, and whether it may write."""

    query: bytes
    names: tuple[str, ...]
    writes: bool


class _Shape(NamedTuple):
    """What a prepared statement answers: its columns, and what converts them."""

    metadata: SimpleResultMetaData
    processors: tuple[tuple[int, Processor], ...]


class Direct:
    """The short way on one connection, which keeps what it prepared."""

    def __init__(self, connection: SyncConnection) -> None:
        self._driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        self._dialect = connection.dialect
        self._texts: dict[str, _Plan | None] = {}
        self._compiled: dict[Any, Any] = {}
        self._plans: dict[str, _Plan] = {}
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._shapes: dict[tuple[bytes, tuple[int, ...]], _Shape] = {}

    @classmethod
    def of(cls, connection: SyncConnection) -> Direct:
        """Return the one of a connection."""
        found = connection.info.get("direct")
        if not isinstance(found, cls):
            found = connection.info["direct"] = cls(connection)
        return found

    def command(self, words: bytes) -> None:
        """Run commands of the drill's own, without parameters and without rows."""
        done = self._driver.pgconn.exec_(words)
        if done.status not in _DONE:
            raise self._error(words, done)

    def execute(self, statement: Any, parameters: Parameters) -> tuple[Rows, bool] | None:
        """Run a statement; return its rows and whether it wrote, or None: it must go the usual way."""
        if parameters is not None and not isinstance(parameters, Mapping):
            return None
        if type(statement) is TextClause:
            words = statement.text
            if words not in self._texts:
                self._texts[words] = self._plan_of_text(statement)
            plan = self._texts[words]
            if plan is not None:
                return self._run(plan, parameters or {}, None)
        return self._execute_compiled(statement, parameters or {})

    def _plan_of_text(self, statement: TextClause) -> _Plan | None:
        bound = statement._bindparams.values()  # noqa: SLF001 -- there is no public way to see them
        if all(each.required and not each.expanding and each.type._isnull for each in bound):  # noqa: SLF001 -- the same
            return _plan(str(statement.compile(dialect=self._dialect)))
        return None

    def _execute_compiled(self, statement: Any, parameters: Mapping[str, object]) -> tuple[Rows, bool] | None:
        compiled, extracted, collected, _ = statement._compile_w_cache(  # noqa: SLF001 -- what Connection.execute does
            self._dialect, compiled_cache=self._compiled, column_keys=sorted(parameters)
        )
        if compiled.insert_prefetch or compiled.update_prefetch or compiled.escaped_bind_names:
            return None
        values = compiled.construct_params(
            parameters, escape_names=False, extracted_parameters=extracted, _collected_params=collected
        )
        processors, words = compiled._bind_processors, compiled.string  # noqa: SLF001 -- as its own execution does
        if compiled.literal_execute_params or compiled.post_compile_params:
            expanded = compiled._process_parameters_for_postcompile(values)  # noqa: SLF001 -- the same
            processors, words = {**processors, **expanded.processors}, expanded.statement
        plan = self._plans.get(words)
        if plan is None:
            plan = self._plans[words] = _plan(words)
        for name in processors.keys() & values.keys():
            values[name] = processors[name](values[name])
        return self._run(plan, values, compiled)

    def _run(self, plan: _Plan, values: Mapping[str, object], compiled: Any) -> tuple[Rows, bool]:
        adapted = Transformer(self._driver)
        given = adapted.dump_sequence([values[name] for name in plan.names], [PyFormat.AUTO] * len(plan.names))  # type: ignore[arg-type]
        types = tuple(adapted.types or ())
        name = self._prepared.get((plan.query, types)) or self._prepare(plan, types)
        done = self._driver.pgconn.exec_prepared(name, given, adapted.formats)  # type: ignore[arg-type]
        if done.status not in _DONE:
            raise self._error(plan.query, done)
        if done.status == ExecStatus.TUPLES_OK:
            adapted.set_pgresult(done)
            shape = self._shape(plan.query, done, compiled)
            rows: Any = adapted.load_rows(0, done.ntuples, tuple)
            if shape.processors:
                rows = [_processed(row, shape.processors) for row in rows]
            result = Rows(shape.metadata, iter(rows))
        else:
            result = Rows(SimpleResultMetaData(()), iter(()))
        result.rowcount = done.command_tuples if done.command_tuples is not None else -1
        return result, plan.writes and result.rowcount != 0

    def _prepare(self, plan: _Plan, types: tuple[int, ...]) -> bytes:
        name = b"d%d" % len(self._prepared)
        done = self._driver.pgconn.prepare(name, plan.query, types)
        if done.status not in _DONE:
            raise self._error(plan.query, done)
        self._prepared[plan.query, types] = name
        return name

    def _shape(self, query: bytes, done: Any, compiled: Any) -> _Shape:
        oids = tuple(done.ftype(column) for column in range(done.nfields))
        found = self._shapes.get((query, oids))
        if found is None:
            names = [done.fname(column).decode() for column in range(done.nfields)]
            typed = [] if compiled is None else compiled._result_columns  # noqa: SLF001 -- as its own execution does
            processors = []
            if len(typed) == len(names):
                for column, (each, oid) in enumerate(zip(typed, oids, strict=True)):
                    processor = each.type._cached_result_processor(self._dialect, oid)  # noqa: SLF001 -- the same
                    if processor is not None:
                        processors.append((column, processor))
            found = self._shapes[query, oids] = _Shape(SimpleResultMetaData(names), tuple(processors))
        return found

    def _error(self, query: bytes, done: Any) -> BaseException:
        error = error_from_result(done, encoding="utf-8")
        words = query.decode()
        return DBAPIError.instance(words, None, error, psycopg.Error, hide_parameters=True, dialect=self._dialect)


def _plan(words: str) -> _Plan:
    names: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    query = _NAMED.sub(numbered, words)
    return _Plan(query.encode(), tuple(names), _WRITES.search(words) is not None)


def _processed(row: tuple[Any, ...], processors: tuple[tuple[int, Processor], ...]) -> tuple[Any, ...]:
    values = list(row)
    for column, processor in processors:
        values[column] = processor(values[column])
    return tuple(values)
