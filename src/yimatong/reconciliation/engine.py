"""Runs the matching on DuckDB: in memory, bounded, on files of its own that go away with it.

Rows reach DuckDB as text files: its Python driver inserts row by row a thousand times slower. Synchronous; the service
calls it in a thread.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from yimatong.kit.errors import Refusal
from yimatong.reconciliation import matching
from yimatong.reconciliation.bills.base import BillRow
from yimatong.reconciliation.bills.registry import BillFormat
from yimatong.reconciliation.errors import NotConserved
from yimatong.reconciliation.matching import Finding, Movement, Tally

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NULL = "\x02null"
_COLUMNS = {
    "pos": "BIGINT",
    "kind": "VARCHAR",
    "number": "VARCHAR",
    "channel_no": "VARCHAR",
    "amount_fen": "BIGINT",
    "fee": "DECIMAL(20,5)",
    "fee_due": "DECIMAL(20,5)",
    "state": "VARCHAR",
    "moment": "TIMESTAMP",
}
_RAW = (
    "CREATE TABLE {name} AS SELECT * FROM read_csv({path}, auto_detect=false, header=false, delim={delim},"
    " quote={quote}, escape={quote}, nullstr={null}, max_line_size=1048576, columns={columns})"
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a day came to: tallies of every class, and each row that is not matched."""

    tallies: list[Tally]
    findings: list[Finding]
    bill_rows: int
    platform_rows: int
    read_fast: bool


def reconcile(
    platform: Iterable[Movement],
    content: bytes,
    form: BillFormat,
    *,
    merchant_id: str,
    memory_mb: int = 1024,
    threads: int = 2,
) -> Outcome:
    """Match the platform's movements with a bill; both may come in any order.

    Raises:
        REC-10xx: the bill cannot be trusted. NotConserved: a row was lost or counted twice; nothing may be kept.
    """
    import duckdb  # noqa: PLC0415 -- a large library, wanted by a few acts alone

    with tempfile.TemporaryDirectory(prefix="yimatong-reconciliation-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "temp_directory": f"{folder}/spill",
        }
        with duckdb.connect(":memory:", config=config) as duck:
            desk = _Desk(duck, Path(folder))
            desk.load("platform", (_movement(pos, each) for pos, each in enumerate(platform)))
            fast = desk.load_bill_fast(content, form, merchant_id)
            if not fast:
                desk.load("bill", (_bill_row(row) for row in form.rows(content, merchant_id)))
            return desk.match(read_fast=fast)


def read_bill(content: bytes, form: BillFormat, *, merchant_id: str) -> list[BillRow] | None:
    """Return the rows that the fast way reads, or None where it leaves the bill to the specification. For tests."""
    import duckdb  # noqa: PLC0415 -- a large library, wanted by a few acts alone

    with tempfile.TemporaryDirectory(prefix="yimatong-reconciliation-") as folder, duckdb.connect(":memory:") as duck:
        desk = _Desk(duck, Path(folder))
        if not desk.load_bill_fast(content, form, merchant_id):
            return None
        found = duck.execute("SELECT * FROM bill ORDER BY pos").fetchall()
    names = ("line", *list(_COLUMNS)[1:-1], "at")
    return [BillRow(**dict(zip(names, (*row[:-1], row[-1].replace(tzinfo=UTC)), strict=True))) for row in found]


class _Desk:
    """One DuckDB with the tables ``platform``, ``bill`` and ``found``."""

    def __init__(self, duck: DuckDBPyConnection, folder: Path) -> None:
        self._duck = duck
        self._folder = folder

    def load(self, table: str, rows: Iterator[Sequence[object]]) -> None:
        """Fill a table through a file, one row at a time."""
        path = self._folder / f"{table}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        self._read(table, path, delim=",", quote='"', columns=_COLUMNS)
        path.unlink()

    def load_bill_fast(self, content: bytes, form: BillFormat, merchant_id: str) -> bool:
        """Fill ``bill`` with DuckDB's own reader; False, and no table, when anything about the bill is in doubt."""
        import duckdb  # noqa: PLC0415 -- a large library, wanted by a few acts alone

        staging = form.staging(content, merchant_id)
        if staging is None:
            return False
        path = self._folder / "bill.txt"
        path.write_bytes(staging.detail)
        try:
            self._read("lines", path, delim="\x01", quote="", columns={"text": "VARCHAR"})
            self._duck.execute("CREATE VIEW raw AS SELECT row_number() OVER () + 1 AS line, text FROM lines")
            self._duck.execute(f"CREATE TABLE staged AS {staging.select}")
            doubts = self._duck.execute("SELECT count(*), count(*) FILTER (NOT valid OR moment IS NULL) FROM staged")
            if doubts.fetchall() != [(staging.lines, 0)]:
                return False
            staging.check(self._duck.execute(f"{staging.sums} FROM staged").fetchall()[0])
        except (duckdb.Error, Refusal):
            return False
        finally:
            path.unlink()
        columns = ", ".join(name for name in _COLUMNS if name != "pos")
        self._duck.execute(f"CREATE TABLE bill AS SELECT line AS pos, {columns} FROM staged")  # noqa: S608
        self._duck.execute("DROP VIEW raw; DROP TABLE lines; DROP TABLE staged")
        return True

    def match(self, *, read_fast: bool) -> Outcome:
        """Rank, join, classify, count; and count once more."""
        for statement in (*matching.RANK, matching.MATCH):
            self._duck.execute(statement)
        names = ("klass", "kind", "platform_rows", "platform_fen", "bill_rows", "bill_fen")
        tallies = [
            Tally(**dict(zip(names, (*row[:2], *map(int, row[2:])), strict=True)))
            for row in self._duck.execute(matching.TALLY).fetchall()
        ]
        given = {side: self._totals(side) for side in ("platform", "bill")}
        check_conserved(tallies, given)
        return Outcome(
            tallies=tallies,
            findings=[_finding(row) for row in self._duck.execute(matching.FINDINGS).fetchall()],
            platform_rows=sum(rows for rows, _ in given["platform"].values()),
            bill_rows=sum(rows for rows, _ in given["bill"].values()),
            read_fast=read_fast,
        )

    def _totals(self, side: str) -> dict[str, tuple[int, int]]:
        found = self._duck.execute(matching.TOTALS.format(side=side)).fetchall()
        return {kind: (int(rows), int(fen)) for kind, rows, fen in found}

    def _read(self, table: str, path: Path, *, delim: str, quote: str, columns: dict[str, str]) -> None:
        listed = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
        self._duck.execute(
            _RAW.format(
                name=table,
                path=_quoted(str(path)),
                delim=_quoted(delim),
                quote=_quoted(quote),
                null=_quoted(_NULL),
                columns=listed,
            )
        )


def check_conserved(tallies: Iterable[Tally], given: dict[str, dict[str, tuple[int, int]]]) -> None:
    """Hold the classes against what went in: rows and fen, per side and kind of movement.

    ``given``: side -> kind -> (rows, fen).

    Raises:
        NotConserved: they differ.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {"platform": {}, "bill": {}}
    for tally in tallies:
        for side, rows, fen in (
            ("platform", tally.platform_rows, tally.platform_fen),
            ("bill", tally.bill_rows, tally.bill_fen),
        ):
            before = found[side].get(tally.kind, (0, 0))
            if rows:
                found[side][tally.kind] = (before[0] + rows, before[1] + fen)
    for side, totals in given.items():
        if found[side] != totals:
            raise NotConserved(side=side, given=totals, found=found[side])


def _movement(pos: int, found: Movement) -> Sequence[object]:
    fee = _NULL if found.fee is None else found.fee
    at = _naive(found.at)
    return pos, found.kind, found.number, found.channel_no, found.amount_fen, fee, _NULL, found.state, at


def _bill_row(row: BillRow) -> Sequence[object]:
    due = _NULL if row.fee_due is None else row.fee_due
    at = _naive(row.at)
    return row.line, row.kind, row.number, row.channel_no, row.amount_fen, row.fee, due, row.state, at


def _naive(moment: datetime) -> datetime:
    """Return the moment in UTC without an offset: DuckDB's reader would drop the offset, not apply it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _finding(row: Sequence[Any]) -> Finding:
    klass, kind, number, rank = row[:4]
    return Finding(
        klass=klass,
        kind=kind,
        number=number,
        rank=int(rank),
        platform=_side(kind, number, (*row[4:9], None)),
        bill=_side(kind, number, row[9:15]),
        bill_line=row[15],
    )


def _side(kind: str, number: str, said: Sequence[Any]) -> Movement | None:
    channel_no, fen, state, moment, fee, due = said
    if moment is None:
        return None
    at = moment.replace(tzinfo=UTC)
    return Movement(
        kind=kind, number=number, channel_no=channel_no, amount_fen=fen, state=state, at=at, fee=fee, fee_due=due
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
