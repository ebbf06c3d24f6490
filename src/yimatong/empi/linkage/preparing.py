"""Rows become the table ``records`` of prepared columns in DuckDB: in batches, in as many processes as pay."""

from __future__ import annotations

import gc
import math
import multiprocessing
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from yimatong.empi.errors import LinkageColumns
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching import sql
from yimatong.empi.matching.comparators import Preparation
from yimatong.empi.matching.facts import Facts
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.pool import Pool

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

FACTS: Final = ("name", "sex", "birth_date", "id_type", "id_number", "phone", "address")
"""Columns of a raw row that make up ``Facts``, in order."""
BATCH_ROWS: Final = 20_000
_WORKERS_PAY_FROM: Final = 60_000
AS_GIVEN: Final = "as_given"

Raw = tuple[int, Sequence[Sequence[Any]]]
"""Number of the first record, and the raw columns of a batch."""


class Preparer:
    """Turns raw batches into Arrow batches; lives in a worker process, or here."""

    def __init__(self, settings: Settings, names: Sequence[str]) -> None:
        """Look up the preparation once."""
        self._preparation = configuration.preparation(settings)
        self._facts = settings.preparation != AS_GIVEN
        self._names = tuple(names)

    def __call__(self, raw: Raw) -> pa.RecordBatch:
        """Return the prepared columns of a batch, with the running number ``id``."""
        import pyarrow as pa  # noqa: PLC0415

        first, columns = raw
        types = _types(self._preparation)
        prepare = self._preparation.prepare
        rows = [prepare(each) for each in self._records(columns)]
        turned = zip(*map(itemgetter(*types), rows), strict=True) if rows else ((),) * len(types)
        arrays = [pa.array(range(first, first + len(rows)), type=pa.int32())]
        arrays += [pa.array(values, type=kind) for values, kind in zip(turned, types.values(), strict=True)]
        return pa.RecordBatch.from_arrays(arrays, names=["id", *types])

    def _records(self, columns: Sequence[Sequence[Any]]) -> Iterator[Any]:
        if not self._facts:
            return (dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True))
        return (facts_of(row) for row in zip(*columns, strict=True))


def facts_of(row: Sequence[Any]) -> Facts:
    """Return the facts of one raw row (``FACTS``); a birth date that is no date counts as not said."""
    name, sex, birth_date, id_type, id_number, phone, address = row
    return Facts(
        name=name or "",
        sex=sex or "0",
        birth_date=_date(birth_date),
        id_type=id_type or "",
        id_number=id_number or "",
        phone=phone or "",
        address=address or "",
    )


def _date(value: object) -> date | None:
    if value is None or isinstance(value, date):
        return value
    text = str(value).strip()
    try:
        return date.fromisoformat(text[:10] if "-" in text else text)
    except ValueError:
        return None


_ARROW: Final = {"VARCHAR": "string", "INTEGER": "int32", "BIGINT": "int64", "UBIGINT": "uint64", "DOUBLE": "float64"}


def _types(preparation: Preparation) -> dict[str, pa.DataType]:
    import pyarrow as pa  # noqa: PLC0415

    made = {}
    for name, kind in preparation.columns.items():
        if kind == "BOOLEAN":
            made[name] = pa.bool_()
        elif kind.endswith("[]"):
            made[name] = pa.list_(pa.type_for_alias(_ARROW[kind.removesuffix("[]")]))
        else:
            made[name] = pa.type_for_alias(_ARROW[kind])
    return made


_worker: Preparer | None = None


def _start(settings: Settings, names: Sequence[str]) -> None:
    global _worker  # noqa: PLW0603 -- a worker process has one
    gc.disable()  # it makes millions of small objects and no cycle
    _worker = Preparer(settings, names)


def _work(raw: Raw) -> pa.RecordBatch:
    assert _worker is not None  # noqa: S101 -- set by the initialiser of the process
    return _worker(raw)


def load(
    connection: DuckDBPyConnection,
    settings: Settings,
    batches: Iterable[Sequence[Sequence[Any]]],
    *,
    names: Sequence[str] = FACTS,
    sources: Sequence[int] = (),
    rows: int = 0,
    processes: int = 1,
) -> int:
    """Fill the table ``records`` and return how many there are.

    Args:
        connection: where the table is made.
        settings: what is prepared.
        batches: raw rows in columns, each batch in the order of ``names``.
        names: the raw columns; ``FACTS`` unless records are compared as given.
        sources: of each record which of two sets it is of; all 0 when empty.
        rows: about how many there will be; worker processes are started where that pays.
        processes: how many of them at most.
    """
    numbered = _numbered(batches)
    if processes > 1 and rows >= _WORKERS_PAY_FROM:
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes, _start, (settings, tuple(names))) as pool:
            count = _insert(connection, settings, _bounded(pool, numbered, processes * 2))
    else:
        count = _insert(connection, settings, map(Preparer(settings, names), numbered))
    if sources:
        _set_sources(connection, sources)
    return count


def _bounded(pool: Pool, numbered: Iterable[Raw], most: int) -> Iterator[pa.RecordBatch]:
    """Yield prepared batches in order, at most ``most`` on their way: a pool alone would read all its input."""
    room = threading.Semaphore(most)

    def fed() -> Iterator[Raw]:
        for raw in numbered:
            room.acquire()
            yield raw

    for batch in pool.imap(_work, fed()):
        room.release()
        yield batch


def _numbered(batches: Iterable[Sequence[Sequence[Any]]]) -> Iterator[Raw]:
    first = 0
    for columns in batches:
        yield first, columns
        first += len(columns[0])


def _insert(connection: DuckDBPyConnection, settings: Settings, prepared: Iterable[pa.RecordBatch]) -> int:
    import pyarrow as pa  # noqa: PLC0415

    columns = configuration.preparation(settings).columns
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE records (id INTEGER, {declared}, source INTEGER DEFAULT 0)")
    named = ", ".join(("id", *columns))
    count = 0
    for batch in prepared:
        connection.register("prepared", pa.Table.from_batches([batch]))
        connection.execute(f"INSERT INTO records ({named}) SELECT {named} FROM prepared")  # noqa: S608 -- our columns
        connection.unregister("prepared")
        count += batch.num_rows
    return count


def _set_sources(connection: DuckDBPyConnection, sources: Sequence[int]) -> None:
    import pyarrow as pa  # noqa: PLC0415

    connection.register("sources", pa.table({"id": pa.array(range(len(sources)), pa.int32()), "source": list(sources)}))
    connection.execute("UPDATE records SET source = sources.source FROM sources WHERE sources.id = records.id")
    connection.unregister("sources")


def add_frequencies(connection: DuckDBPyConnection, model: Model, *, records: str = "records") -> None:
    """Put ``tf_<column>`` beside each column whose frequencies count: the very doubles that the online scorer uses."""
    import pyarrow as pa  # noqa: PLC0415

    silence(connection, model.settings, model.hot, records=records)
    if not model.frequencies:
        return
    columns, joins = [], []
    for number, (column, frequencies) in enumerate(model.frequencies.items()):
        unseen = math.log2(frequencies.unseen)
        values = {value: frequencies.log2(value) for value in frequencies.values}
        connection.register(
            f"frequency_{number}",
            pa.table({"value": pa.array(values, pa.string()), "bits": pa.array(values.values(), pa.float64())}),
        )
        bits = f"coalesce(f{number}.bits, {unseen!r}::DOUBLE)"
        columns.append(f"CASE WHEN p.{column} IS NULL THEN NULL ELSE {bits} END AS tf_{column}")
        joins.append(f"LEFT JOIN frequency_{number} f{number} ON f{number}.value = p.{column}::VARCHAR")
    given = [row[0] for row in connection.execute(f"DESCRIBE {records}").fetchall()]
    kept = ", ".join(f"p.{name}" for name in given if not name.startswith("tf_"))
    connection.execute(
        f"CREATE OR REPLACE TABLE {records} AS SELECT {kept}, {', '.join(columns)}"  # noqa: S608 -- our own columns
        f" FROM {records} p {' '.join(joins)}"
    )
    for number in range(len(model.frequencies)):
        connection.unregister(f"frequency_{number}")


def silence(
    connection: DuckDBPyConnection, settings: Settings, hot: Sequence[Sequence[str]], *, records: str = "records"
) -> None:
    """Make values that too many people share (``Settings.hot``) not said, as the online scorer does."""
    import pyarrow as pa  # noqa: PLC0415

    for each, values in zip(settings.hot, hot, strict=False):
        if not values:
            continue
        connection.register("hot_values", pa.table({"value": pa.array(values, pa.string())}))
        none = ", ".join(f"{column} = NULL" for column in each.columns)
        connection.execute(
            f"UPDATE {records} SET {none} WHERE {sql.joined(each.columns)} IN (SELECT value FROM hot_values)"  # noqa: S608
        )
        connection.unregister("hot_values")


def require_columns(found: Iterable[str], wanted: Iterable[str]) -> None:
    """Refuse a file that lacks columns.

    Raises:
        LinkageColumns: it does.
    """
    missing = [name for name in wanted if name not in set(found)]
    if missing:
        raise LinkageColumns(columns=", ".join(missing))


def batches_of(columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> Iterator[list[Sequence[Any]]]:
    """Yield columns that are in memory in batches.

    Raises:
        LinkageColumns: one is missing.
    """
    require_columns(columns, names)
    count = len(columns[names[0]]) if names else 0
    for start in range(0, count, BATCH_ROWS):
        yield [columns[name][start : start + BATCH_ROWS] for name in names]
