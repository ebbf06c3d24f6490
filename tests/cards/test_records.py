"""Records of codes: the same search before and after archiving, an archive run killed at every step, partitions."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from records_world import NOW, PLACES, empty, fill, made_rows, vault_of
from sqlalchemy import insert, text

from yimatong.access import idempotency
from yimatong.access.caller import PLATFORM, Scope
from yimatong.cards.codes import queries as codes
from yimatong.cards.errors import (
    ArchiveAway,
    ArchiveDamaged,
    ArchiveRunning,
    CountFieldUnknown,
    MonthInvalid,
    MonthNotOver,
    PageMarkInvalid,
    SpanInvalid,
    TooManyGroups,
)
from yimatong.cards.models import code_record
from yimatong.cards.records import retention, service
from yimatong.cards.records.archive import Archive
from yimatong.cards.records.schemas import COUNT_BY, Filters, Record
from yimatong.crypto.sealing import Sealer
from yimatong.kit import alarms, partitions
from yimatong.kit.db import Connection, Database

MONTHS = [datetime(2025, 11, 1, tzinfo=UTC), datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
ROWS = 300
BORDER = date(2026, 1, 1)


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    return tmp_path / "keystore.json"


@pytest.fixture
def archive(tmp_path: Path, keystore: Path) -> Archive:
    return Archive(tmp_path / "archive", vault_of(keystore))


@pytest.fixture
async def filled(database: Database) -> AsyncIterator[Database]:
    await empty(database)
    await fill(database, MONTHS, ROWS)
    yield database
    await empty(database)


async def pages(
    db: Database, archive: Archive, *, scope: Scope = PLATFORM, limit: int = 37, **wanted: object
) -> list[Record]:
    found: list[Record] = []
    after = None
    while True:
        rows, after = await service.search(
            db, archive, scope=scope, filters=Filters(**wanted), after=after, limit=limit
        )
        found += rows
        if after is None:
            return found
        after = service.mark_from(service.cursor(after))


async def archived(db: Database, archive: Archive) -> None:
    done = await retention.archive_months(db, archive, before=BORDER, keep=1, now=NOW)
    assert [manifest.month for manifest in done] == ["2025-11", "2025-12"]


SEARCHES: list[dict[str, object]] = [
    {},
    {"institution_id": "inst-1"},
    {"caller_id": "term-3", "result": "ok"},
    {"caller_id": "web"},
    {"refused": True},
    {"front_id": "front-1", "purpose": "visit"},
    {"code_kind": "static", "event": "verified"},
    {"vuids": (f"{7:064X}", f"{8:064X}")},
    {"since": datetime(2025, 12, 20, 1, 2, 3, 4, tzinfo=UTC), "until": datetime(2026, 1, 9, tzinfo=UTC)},
    {"record_id": made_rows(MONTHS[0], ROWS)[4]["record_id"]},
]


async def test_the_same_search_gives_the_same_rows_before_and_after_archiving(
    filled: Database, archive: Archive
) -> None:
    scopes = [PLATFORM, Scope(institution_id="inst-2"), Scope(caller_id="app-1")]
    before = [await pages(filled, archive, scope=scope, **wanted) for scope in scopes for wanted in SEARCHES]
    assert len(before[0]) == 3 * ROWS
    assert all(before[: len(SEARCHES)]), "every search of the platform finds something"
    assert before[0] == sorted(before[0], key=lambda row: (row.at, row.record_id), reverse=True)
    await archived(filled, archive)
    async with filled.read() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM cards_code_record"))).scalar_one() == ROWS
    after = [await pages(filled, archive, scope=scope, **wanted) for scope in scopes for wanted in SEARCHES]
    assert after == before
    for limit in (1, 2, 50, 200):
        assert await pages(filled, archive, limit=limit, institution_id="inst-2") == [
            row for row in before[0] if row.institution_id == "inst-2"
        ]


async def test_a_scope_sees_its_own_rows_only(filled: Database, archive: Archive) -> None:
    await archived(filled, archive)
    for scope, own in (
        (Scope(institution_id="inst-2"), {("inst-2", "term-3")}),
        (Scope(caller_id="app-1"), {(None, "app-1")}),
        (Scope(caller_id="nobody"), set()),
        (PLATFORM, set(PLACES)),
    ):
        rows = await pages(filled, archive, scope=scope)
        assert {(row.institution_id, row.caller_id) for row in rows} == own


async def test_counts_are_the_same_before_and_after_archiving(filled: Database, archive: Archive) -> None:
    filters = Filters(since=datetime(2025, 11, 15, tzinfo=UTC), until=datetime(2026, 1, 15, tzinfo=UTC))
    ways = [(), ("day",), ("hour", "result"), ("institution", "terminal", "purpose"), COUNT_BY]
    before = [await service.counts(filled, archive, by=by, scope=PLATFORM, filters=filters, now=NOW) for by in ways]
    rows = await pages(filled, archive, since=filters.since, until=filters.until)
    assert all(table.total == len(rows) for table in before)
    assert {count.values[0] for count in before[1].counts} == {
        f"{(row.at + timedelta(hours=8)):%Y-%m-%d}" for row in rows
    }
    await archived(filled, archive)
    after = [await service.counts(filled, archive, by=by, scope=PLATFORM, filters=filters, now=NOW) for by in ways]
    assert after == before


async def test_a_count_names_what_it_cannot_do(
    filled: Database, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = Filters(since=MONTHS[0], until=MONTHS[2])

    async def count(by: tuple[str, ...], filters: Filters) -> None:
        await service.counts(filled, archive, by=by, scope=PLATFORM, filters=filters, now=NOW)

    with pytest.raises(CountFieldUnknown):
        await count(("name",), span)
    with pytest.raises(CountFieldUnknown):
        await count(("day", "day"), span)
    with pytest.raises(SpanInvalid):
        await count(("day",), Filters(since=MONTHS[0]))
    with pytest.raises(SpanInvalid):
        await count(("day",), Filters())
    monkeypatch.setattr(service, "GROUPS_MAX", 5)
    with pytest.raises(TooManyGroups):
        await count(("day",), span)


async def test_a_search_looks_into_a_limited_part_of_the_archive_and_goes_on(
    filled: Database, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = made_rows(MONTHS[0], ROWS)[0]["record_id"]  # the first moment of the oldest month
    await archived(filled, archive)
    monkeypatch.setattr(service, "PARTS_MAX", 3)
    rows, after = await service.search(filled, archive, scope=PLATFORM, filters=Filters(record_id=wanted), limit=5)
    assert rows == []
    assert after is not None
    assert [row.record_id for row in await pages(filled, archive, record_id=wanted)] == [wanted]
    assert len(await pages(filled, archive)) == 3 * ROWS


@pytest.mark.parametrize("text_", ["%", "AAAA", "MTIz", "x" * 60, "8J-YgA"])
def test_a_strange_cursor_is_refused_by_name(text_: str) -> None:
    with pytest.raises(PageMarkInvalid):
        service.mark_from(text_)


async def test_files_are_sealed_and_private_and_the_manifest_says_what_they_are(
    filled: Database, archive: Archive
) -> None:
    await archived(filled, archive)
    folder = archive.folder / "2025-12"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == ROWS == sum(part["rows"] for part in manifest["parts"])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *(part["name"] for part in manifest["parts"])}
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        content = path.read_bytes()
        assert path.name == "manifest.json" or (b"PAR1" not in content and b"term-1" not in content)
    assert archive.folder.stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700
    assert not list(archive.folder.glob("*.partial"))


async def test_a_lost_or_altered_file_is_told_by_name(filled: Database, archive: Archive) -> None:
    await archived(filled, archive)
    path = next(iter(sorted((archive.folder / "2025-12").glob("*.sealed"))))
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArchiveDamaged):
        await pages(filled, archive, caller_id="app-1")
    path.unlink()
    with pytest.raises(ArchiveAway):
        await pages(filled, archive, caller_id="app-1")
    path.write_bytes(content)
    assert await pages(filled, archive, caller_id="app-1")


def run_killed(url: str, archive: Archive, keystore: Path, step: int) -> int:
    command = [sys.executable, str(Path(__file__).with_name("records_world.py")), url, str(archive.folder)]
    return subprocess.run([*command, str(keystore), str(step)], env=os.environ, check=False, timeout=60).returncode


@pytest.mark.parametrize("step", [1, 2, 5, "compared", "written", "dropped", "entered", "archived"])
async def test_an_archive_run_killed_at_any_step_loses_nothing_and_does_nothing_twice(
    database: Database, database_url: str, archive: Archive, keystore: Path, step: int | str
) -> None:
    await empty(database)
    await fill(database, [MONTHS[1], MONTHS[2]], 120)
    before = await pages(database, archive)
    if isinstance(step, str):
        said: list[str] = []
        await fill_twin_and_archive(database, archive, said)
        step = next(number for number, line in enumerate(said, 1) if step in line)
    code = await asyncio.to_thread(run_killed, database_url, archive, keystore, step)
    assert code == 9
    assert await pages(database, archive) == before, "after the kill"
    await retention.archive_months(database, archive, before=BORDER, keep=1, now=NOW)
    assert await pages(database, archive) == before, "after the next run"
    async with database.read() as tx:
        present = await partitions.months_present(tx, code_record)
        rows = (await tx.execute(text("SELECT month, rows FROM cards_record_archive"))).all()
    assert present == [date(2026, 1, 1)]
    assert [tuple(row) for row in rows] == [("2025-12", 120)]
    assert sorted(path.name for path in archive.folder.iterdir()) == [".lock", "2025-12"]
    assert await retention.archive_months(database, archive, before=BORDER, keep=1, now=NOW) == []
    await empty(database)


async def fill_twin_and_archive(db: Database, archive: Archive, said: list[str]) -> None:
    """Learn the steps of a run from a rehearsal on the same rows, and put everything back."""
    await retention.archive_months(db, archive, before=BORDER, keep=1, now=NOW, say=said.append)
    await empty(db)
    await fill(db, [MONTHS[1], MONTHS[2]], 120)
    for path in sorted(archive.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


async def test_a_finished_folder_that_no_longer_agrees_is_made_anew(
    filled: Database, database_url: str, archive: Archive, keystore: Path
) -> None:
    code = await asyncio.to_thread(run_killed, database_url, archive, keystore, 11)  # locked, 8 days, compared, written
    assert code == 9
    assert (archive.folder / "2025-11").is_dir()
    late = made_rows(MONTHS[0], 12, seed=8)[10]
    async with filled.transaction() as tx:
        await tx.execute(insert(code_record), [late])
    await archived(filled, archive)
    assert len(await pages(filled, archive)) == 3 * ROWS + 1


async def test_a_fuller_folder_survives_a_restored_database(filled: Database, archive: Archive) -> None:
    """The database went back to before the month was archived, with fewer rows: the older folder stays, and is told."""
    await archived(filled, archive)
    fuller = {path.name: path.read_bytes() for path in (archive.folder / "2025-11").iterdir()}
    await empty(filled)
    await fill(filled, MONTHS, 40)
    await archived(filled, archive)
    assert len(await pages(filled, archive)) == 3 * 40
    (name,) = archive.aside("2025-11")
    kept = {path.name: path.read_bytes() for path in (archive.folder / name).iterdir()}
    assert kept == fuller
    async with filled.read() as tx:
        told = {alarm.subject: alarm.detail for alarm in await alarms.alarms(tx) if alarm.kind == retention.ASIDE}
    assert set(told) == {"2025-11", "2025-12"}
    assert name in told["2025-11"]


async def test_a_month_that_came_back_does_not_replace_its_archive(filled: Database, archive: Archive) -> None:
    """A clock that stood wrong makes a partition anew: its rows stay where they are, and the archive as it was."""
    before = await pages(filled, archive)
    await archived(filled, archive)
    strays = made_rows(MONTHS[0], ROWS, seed=8)[:5]
    async with filled.transaction() as tx:
        await partitions.make_months(tx, code_record, [MONTHS[0].date()])
        await tx.execute(insert(code_record), strays)
    assert await retention.archive_months(filled, archive, before=BORDER, keep=1, now=NOW) == []
    after = {row.record_id for row in await pages(filled, archive)}
    assert after == {row.record_id for row in before} | {row["record_id"] for row in strays}


async def test_two_archive_runs_do_not_meet(filled: Database, archive: Archive) -> None:
    with archive.alone(), pytest.raises(ArchiveRunning):
        await retention.archive_months(filled, archive, before=BORDER, keep=1, now=NOW)


async def test_retention_keeps_the_newest_months(filled: Database) -> None:
    async with filled.read() as tx:
        assert await retention.months_due(tx, keep=13, now=NOW) == []
        assert await retention.months_due(tx, keep=10, now=NOW) == [date(2025, 11, 1), date(2025, 12, 1)]
        assert len(await retention.months_due(tx, keep=1, now=NOW)) == 3


@pytest.mark.parametrize(
    ("written", "error"), [("2026-13", MonthInvalid), ("x", MonthInvalid), ("2026-11", MonthNotOver)]
)
def test_months_that_cannot_be_archived_are_refused(written: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        retention.month_from(written, now=NOW)
    assert retention.month_from("2026-10", now=NOW) == date(2026, 10, 1)


async def test_partitions_are_made_ahead_and_a_stray_month_gets_its_own(database: Database) -> None:
    await empty(database)
    stray = made_rows(datetime(2026, 12, 1, tzinfo=UTC), 20)
    async with database.transaction() as tx:
        await tx.execute(insert(code_record), stray)
        assert await partitions.months_in_rest(tx, code_record) == {date(2026, 12, 1): 20}
        made, left = await retention.keep_partitions(tx, now=NOW)
        assert made == [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)]
        assert left == 0
        assert await partitions.months_in_rest(tx, code_record) == {}
        assert (await tx.execute(text("SELECT count(*) FROM cards_code_record_2026_12"))).scalar_one() == 20
        assert [alarm.kind for alarm in await alarms.alarms(tx)] == ["records-partition"]
        assert (await retention.keep_partitions(tx, now=NOW))[0] == []
    await empty(database)


async def test_a_migrated_database_has_the_months_ahead(database_template: str, postgres_url: str) -> None:
    from urllib.parse import urlsplit

    url = urlsplit(postgres_url)._replace(path=f"/{database_template}").geturl()
    db = Database(url)
    async with db.read() as tx:
        today = (await tx.execute(text("SELECT now()"))).scalar_one()
        first = partitions.month_of(today)
        assert await partitions.months_present(tx, code_record) == [partitions.later(first, n) for n in range(4)]
        assert await partitions.months_in_rest(tx, code_record) == {}
    await db.close()


def test_months_are_beijing_months() -> None:
    assert partitions.month_bounds(date(2026, 12, 1)) == (
        datetime(2026, 11, 30, 16, tzinfo=UTC),
        datetime(2026, 12, 31, 16, tzinfo=UTC),
    )
    assert partitions.month_of(datetime(2026, 11, 30, 16, tzinfo=UTC)) == date(2026, 12, 1)
    assert [partitions.later(date(2026, 11, 1), n) for n in (-11, 0, 2)] == [
        date(2025, 12, 1),
        date(2026, 11, 1),
        date(2027, 1, 1),
    ]


async def test_answers_to_repeated_writes_are_forgotten_after_a_week(connection: Connection) -> None:
    for key, age in (("old", timedelta(days=7, seconds=1)), ("young", timedelta(days=6))):
        slot = idempotency.Slot("his-1", key, b"digest", Sealer({1: bytes(16)}, 1))
        await slot.take(connection, now=NOW - age)
    assert await idempotency.forget(connection, before=NOW - idempotency.KEPT) == 1
    kept = await connection.execute(text("SELECT key FROM access_idempotency WHERE caller_id = 'his-1'"))
    assert kept.scalars().all() == ["young"]
    assert await idempotency.forget(connection, before=NOW - idempotency.KEPT) == 0


async def test_a_residents_last_uses_come_from_every_month(filled: Database) -> None:
    vuid = f"{7:064X}"
    rows = [row for month in MONTHS for row in made_rows(month, ROWS) if row["vuid"] == vuid]
    uses = sorted((row for row in rows if row["event"] == "verified"), key=lambda row: row["record_id"], reverse=True)
    async with filled.read() as tx:
        found = await codes.last_uses(tx, [vuid], limit=15)
    assert [row.record_id for row in found] == [row["record_id"] for row in uses[:15]]
