"""Where ``ymt match`` reads records from: the index itself, a file, or a made-up population."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from yimatong.cli.errors import CheckoutNeeded, InputUnreadable
from yimatong.cli.places import CHECKOUT
from yimatong.crypto.sealing import Sealer
from yimatong.empi.linkage.persons import Persons
from yimatong.empi.linkage.preparing import BATCH_ROWS, FACTS, require_columns

_SYNTHETIC = "synthetic:"
Batches = Iterator[Sequence[Sequence[Any]]]


class Source(msgspec.Struct, kw_only=True):
    """Raw batches, and what each record is called once they were read."""

    batches: Batches
    rows: int
    names: list[str] = []
    unsealing_s: Callable[[], float] | None = None


@contextmanager
def opened_source(name: str, *, database_url: str, sealer: Sealer | None) -> Iterator[Source]:
    """Yield the source of this name.

    Raises:
        InputUnreadable: there is no such file, or it is neither CSV nor Parquet.
        LinkageColumns: it lacks a column.
        CheckoutNeeded: a made-up population was asked of an installed package.
    """
    if name == "database" and sealer is not None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            persons = Persons(connection, sealer)
            yield _of_persons(persons)
    elif name.startswith(_SYNTHETIC):
        yield _of_rows(_synthetic(name.removeprefix(_SYNTHETIC)))
    else:
        yield _of_file(Path(name))


def _of_persons(persons: Persons) -> Source:
    source = Source(batches=iter(()), rows=persons.count(), unsealing_s=lambda: persons.unsealing_s)

    def batches() -> Batches:
        for page in persons.batches():
            source.names += [mpi.hex for mpi in persons.mpis[len(source.names) :]]
            yield page

    source.batches = batches()
    return source


def _synthetic(rows: str) -> Iterator[Sequence[str]]:
    place = CHECKOUT / "bench" / "population.py"
    if not rows.isdigit():
        raise InputUnreadable(what=f"{_SYNTHETIC}{rows}")
    if not place.is_file():
        raise CheckoutNeeded(command="ymt match")
    spec = importlib.util.spec_from_file_location("population", place)
    if spec is None or spec.loader is None:
        raise CheckoutNeeded(command="ymt match")
    module = importlib.util.module_from_spec(spec)
    sys.modules["population"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    drawn: Iterator[Sequence[str]] = module.Population(seed=1, levels=module.Levels()).rows(int(rows))
    return drawn


def _of_rows(drawn: Iterator[Sequence[str]]) -> Source:
    source = Source(batches=iter(()), rows=0)

    def batches() -> Batches:
        while page := [row for row, _number in zip(drawn, range(BATCH_ROWS), strict=False)]:
            columns = list(zip(*page, strict=True))
            source.names += columns[0]
            yield columns[1 : len(FACTS) + 1]

    source.batches = batches()
    return source


def _of_file(path: Path) -> Source:
    """Read CSV or Parquet a batch at a time; records without ``record_id`` are called by their row number."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv, parquet  # noqa: PLC0415

    source = Source(batches=iter(()), rows=0)
    try:
        if path.suffix == ".parquet":
            file = parquet.ParquetFile(path)
            source.rows, found = file.metadata.num_rows, file.schema_arrow.names
            read = file.iter_batches(batch_size=BATCH_ROWS)
        else:
            heading = path.open(encoding="utf-8-sig").readline().strip().split(",")
            types = csv.ConvertOptions(column_types=dict.fromkeys(heading, pa.string()))
            read = csv.open_csv(path, convert_options=types)
            source.rows, found = path.stat().st_size // 100, read.schema.names
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise InputUnreadable(what=str(path)) from error
    require_columns(found, FACTS)

    def batches() -> Batches:
        for batch in read:
            columns = {name: batch.column(name).cast(pa.string()).to_pylist() for name in FACTS}
            first = len(source.names)
            source.names += (
                [str(each) for each in batch.column("record_id").to_pylist()]
                if "record_id" in found
                else [str(number) for number in range(first, first + batch.num_rows)]
            )
            yield [columns[name] for name in FACTS]

    source.batches = batches()
    return source
