"""Lists that nobody should send: broken in the middle, without a heading, bursting, with formulas."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import psycopg
import pytest
from test_batches import do, line_of, load, receive, written

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import Parts
from yimatong.cards.batches import reading, service
from yimatong.cards.errors import BatchColumnsMissing, BatchFileUnreadable
from yimatong.kit.settings import Settings
from yimatong.kit.spreadsheets import csv_bytes

Residents = Callable[[], SimpleNamespace]
pytestmark = pytest.mark.usefixtures("secrets_of")


def test_a_file_that_is_broken_further_down_leaves_nothing(
    settings: Settings,
    run_async: Callable[..., Any],
    new_resident: Residents,
    tmp_path: Path,
) -> None:
    path = written(tmp_path, *(line_of(new_resident()) for _ in range(600)), encoding="gb18030")
    path.write_bytes(path.read_bytes() + b"\xff\xff,1,2\r\n")

    async def work(parts: Parts) -> None:
        with pytest.raises(BatchFileUnreadable):
            await receive(parts, path)

    do(settings, run_async, work)
    with psycopg.connect(settings.database_url) as connection:
        left = connection.execute("SELECT count(*) FROM cards_batch WHERE file_name = %s", (path.name,)).fetchone()
        loose = connection.execute(
            "SELECT count(*) FROM cards_batch_chunk WHERE batch_id NOT IN (SELECT batch_id FROM cards_batch)"
        ).fetchone()
    assert (left, loose) == ((0,), (0,))


def test_a_list_without_a_heading_tells_nobody_who_is_in_it(
    settings: Settings, run_async: Callable[..., Any], new_resident: Residents, tmp_path: Path
) -> None:
    somebody = new_resident()
    path = tmp_path / "without.csv"
    path.write_text(line_of(somebody), encoding="utf-8")

    async def work(parts: Parts) -> str:
        with pytest.raises(BatchColumnsMissing) as refused:
            await receive(parts, path)
        return refused.value.text("zh") + refused.value.text("en")

    said = do(settings, run_async, work)
    assert somebody.id_number not in said
    assert somebody.name not in said


def test_a_spreadsheet_that_unpacks_without_end_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with ZipFile(path, "w", ZIP_DEFLATED) as bomb, bomb.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
        for _ in range(1100):
            part.write(bytes(1 << 20))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(BatchFileUnreadable):
        reading.look(path)


def test_a_chunk_that_loses_a_deadlock_is_done_again(
    settings: Settings, run_async: Callable[..., Any], new_resident: Residents, tmp_path: Path, database_url: str
) -> None:
    """PostgreSQL ends the transaction of the chunk twice in favour of another; the third try stores it."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            CREATE SEQUENCE drill_losses;
            CREATE FUNCTION drill_lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('drill_losses') <= 2 THEN
                    RAISE EXCEPTION 'lost'
                        USING ERRCODE = CASE currval('drill_losses') WHEN 1 THEN '40P01' ELSE '40001' END;
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER drill_lose BEFORE UPDATE ON cards_batch_chunk FOR EACH ROW EXECUTE FUNCTION drill_lose();
            """
        )
    try:
        path = written(tmp_path, line_of(new_resident()), line_of(new_resident()))
        done = do(settings, run_async, lambda parts: load(parts, path))
    finally:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "DROP TRIGGER drill_lose ON cards_batch_chunk; DROP FUNCTION drill_lose; DROP SEQUENCE drill_losses"
            )
    assert (done.state, done.opened, done.bad) == ("done", 2, 0)


def test_the_report_holds_no_formula(
    settings: Settings, run_async: Callable[..., Any], new_resident: Residents, tmp_path: Path
) -> None:
    path = written(tmp_path, line_of(new_resident(), name="=1+1", id_number="@SUM(A1:A9)"))

    async def work(parts: Parts) -> list[tuple[object, ...]]:
        done = await load(parts, path)
        return await service.report(parts.db, parts.vault, done.batch_id, scope=PLATFORM)

    _, row = csv.reader(csv_bytes(do(settings, run_async, work)).decode("utf-8-sig").splitlines())
    assert row[4].startswith("'=")
    assert row[5].startswith("'@")
