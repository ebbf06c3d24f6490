"""Batches against the real database: files as people write them, sealed, resumable, every bad row with its reason."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.batches import chunks, cutting, queries, service
from yimatong.cards.batches.schemas import BatchView
from yimatong.cards.batches.service import Options
from yimatong.cards.errors import BatchColumnsMissing, BatchFileUnreadable
from yimatong.kit import clock
from yimatong.kit.settings import Settings
from yimatong_sdk import Client

Residents = Callable[[], SimpleNamespace]
pytestmark = pytest.mark.usefixtures("secrets_of")

HEADING = "姓名,身份证号,性别,出生日期,联系电话,家庭住址,备注"


def line_of(resident: SimpleNamespace, **change: str) -> str:
    facts = {**vars(resident), "sex": "男", "address": "陕西省西安市新城区一号", **change}
    return ",".join([*(facts[name] for name in ("name", "id_number", "sex", "birth_date", "phone", "address")), "无"])


def written(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / f"{secrets.token_hex(4)}.csv"
    path.write_bytes("\r\n".join((HEADING, *lines, "")).encode(encoding))
    return path


def do(settings: Settings, run_async: Callable[..., Any], work: Callable[[Parts], Awaitable[Any]]) -> Any:
    async def inside() -> Any:
        parts = assemble(settings)
        try:
            return await work(parts)
        finally:
            await parts.close()

    return run_async(inside())


async def load(parts: Parts, path: Path, options: Options | None = None) -> BatchView:
    taken = await receive(parts, path, options)
    async with parts.db.transaction() as tx:
        await service.start(tx, taken.batch_id, scope=PLATFORM, now=clock.now(), queue=False)
    await chunks.run(parts.db, parts.vault, taken.batch_id, clock=clock.now)
    async with parts.db.read() as tx:
        return await queries.read(tx, taken.batch_id, scope=PLATFORM)


async def receive(parts: Parts, path: Path, options: Options | None = None) -> BatchView:
    return await service.receive(
        parts.db,
        parts.vault,
        path,
        options or Options(kind="residents"),
        file_name=path.name,
        made_by="clerk",
        now=clock.now(),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_list_becomes_accounts_once(
    settings: Settings,
    run_async: Callable[..., Any],
    new_resident: Residents,
    tmp_path: Path,
    encoding: str,
) -> None:
    people = [new_resident() for _ in range(3)]
    path = written(tmp_path, *map(line_of, people), line_of(people[0]), encoding=encoding)
    first = do(settings, run_async, lambda parts: load(parts, path))
    assert (first.state, first.encoding) == ("done", encoding)
    assert (first.rows, first.done, first.opened, first.known, first.bad) == (4, 4, 3, 0, 1)
    assert first.reasons == {"CRD-4106": 1}
    assert first.unknown == ("备注",)
    again = do(settings, run_async, lambda parts: load(parts, path))
    assert again == first


def test_bad_rows_have_reasons_and_never_stop_their_neighbours(
    settings: Settings,
    run_async: Callable[..., Any],
    new_resident: Residents,
    tmp_path: Path,
) -> None:
    good, other, raced = new_resident(), new_resident(), new_resident()
    lines = [
        line_of(good),
        line_of(other, id_number="1.10105E+17"),
        line_of(other, name=""),
        line_of(other, name="张3"),
        line_of(other, id_number=other.id_number[:-1] + ("0" if other.id_number[-1] != "0" else "1")),
        line_of(other, birth_date="1901-01-01"),
        line_of(other, sex="未知性别"),
        line_of(good, name="李四"),
        line_of(raced),
    ]
    path = written(tmp_path, *lines)

    async def work(parts: Parts) -> Any:
        taken = await receive(parts, path)
        tried = await service.check(
            parts.db, parts.vault, taken.batch_id, scope=PLATFORM, now=clock.now(), say=lambda _rows: None
        )
        done = await load(parts, path)
        async with parts.db.read() as tx:
            return tried, done, await queries.bad_rows(tx, await parts.vault.sealer(), done.batch_id, scope=PLATFORM)

    tried, done, bad = do(settings, run_async, work)
    assert tried.state == "checked"
    assert (tried.checked.opened, tried.checked.bad) == (done.opened, done.bad)
    assert tried.checked.reasons == done.reasons
    assert (done.opened, done.bad) == (2, 7)
    assert [(row.row, row.code) for row in bad] == [
        (3, "CRD-4101"),
        (4, "CRD-4102"),
        (5, bad[2].code),
        (6, bad[3].code),
        (7, "EMP-1002"),
        (8, "CRD-4103"),
        (9, "EMP-1001"),
    ]
    assert bad[6].name == "李*"
    assert good.id_number not in repr(bad)


def test_excel_dates_and_numbers(
    settings: Settings,
    run_async: Callable[..., Any],
    new_resident: Residents,
    tmp_path: Path,
) -> None:
    good = new_resident()
    path = tmp_path / "list.xlsx"
    path.write_bytes(xlsx([HEADING.split(","), line_of(good).split(","), line_of(new_resident()).split(",")]))
    done = do(settings, run_async, lambda parts: load(parts, path))
    assert (done.encoding, done.opened, done.bad) == ("xlsx", 1, 1)
    assert done.reasons == {"CRD-4101": 1}


def xlsx(rows: list[list[str]]) -> bytes:
    """Write a workbook by hand: in row 2 the birth date is a day number, in row 3 the identity number is a float."""
    import io
    import zipfile
    from datetime import date

    def cell(row: int, column: int, value: str) -> str:
        if (row, column) == (1, 3):
            return f"<c><v>{(date.fromisoformat(value) - date(1899, 12, 30)).days}</v></c>"
        if (row, column) == (2, 1):
            return f"<c><v>{float(value[:17]) * 10}</v></c>"
        return f'<c t="inlineStr"><is><t>{value}</t></is></c>'

    sheet = "".join(
        "<row>" + "".join(cell(number, place, value) for place, value in enumerate(row)) + "</row>"
        for number, row in enumerate(rows)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packed = "http://schemas.openxmlformats.org/package/2006/relationships"
    files = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packed}"><Relationship Id="r1" '
        f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>'
        '<sheet name="名单" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packed}"><Relationship Id="r1" '
        f'Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


def test_files_that_cannot_be_are_refused_before_anything(
    settings: Settings, run_async: Callable[..., Any], tmp_path: Path, database_url: str
) -> None:
    path = tmp_path / "no-number.csv"
    path.write_text("姓名,联系电话\n张三,13800138000\n", encoding="utf-8")
    with pytest.raises(BatchColumnsMissing) as missing:
        do(settings, run_async, lambda parts: receive(parts, path))
    assert "证件号码" in missing.value.text("zh")
    path.write_bytes(b"PK\x03\x04 not a workbook")
    with pytest.raises(BatchFileUnreadable):
        do(settings, run_async, lambda parts: receive(parts, path))
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT count(*) FROM cards_batch WHERE file_name = 'no-number.csv'").fetchone()
    assert kept == (0,)


def test_a_killed_run_goes_on_where_it_was(
    settings: Settings,
    run_async: Callable[..., Any],
    new_resident: Residents,
    tmp_path: Path,
    database_url: str,
) -> None:
    """The run is cancelled in the middle of its chunks; the second one does the rest, and nothing twice."""
    people = [new_resident() for _ in range(cutting.ROWS * 4)]
    path = written(tmp_path, *map(line_of, people))
    unique = len({each.id_number for each in people})

    async def work(parts: Parts) -> tuple[int, BatchView]:
        taken = await receive(parts, path)
        async with parts.db.transaction() as tx:
            await service.start(tx, taken.batch_id, scope=PLATFORM, now=clock.now(), queue=False)
        seen = asyncio.Event()
        running = asyncio.create_task(
            chunks.run(
                parts.db, parts.vault, taken.batch_id, clock=clock.now, say=lambda _rows, _bad: seen.set(), lanes=1
            )
        )
        await seen.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        async with parts.db.read() as tx:
            half = await queries.read(tx, taken.batch_id, scope=PLATFORM)
        return half.done, await load(parts, path)

    half, done = do(settings, run_async, work)
    assert 0 < half < len(people)
    assert (done.done, done.opened, done.bad) == (len(people), unique, len(people) - unique)
    with psycopg.connect(database_url) as connection:
        events = connection.execute(
            "SELECT count(*), count(DISTINCT vuid) FROM cards_account_event WHERE request_id = %s", [done.batch_id]
        ).fetchone()
        staged = connection.execute(
            "SELECT count(*) FROM cards_batch_chunk WHERE batch_id = %s AND sealed IS NOT NULL", [done.batch_id]
        ).fetchone()
    assert events == (unique, unique)
    assert staged == (0,)


def test_a_listed_resident_claims_her_card_later(
    settings: Settings,
    run_async: Callable[..., Any],
    client: Callable[[str], Client],
    new_resident: Residents,
    tmp_path: Path,
) -> None:
    """Pre-issue: nobody holds the account until the resident's own app proves who she is."""
    listed, broken = new_resident(), new_resident()
    path = written(tmp_path, line_of(listed), line_of(broken, name="1"))
    tagged = Options(kind="residents", tag="贫困人口-" + secrets.token_hex(2))
    done = do(settings, run_async, lambda parts: load(parts, path, tagged))
    assert (done.opened, done.bad) == (1, 1)

    def coverage() -> Any:
        async def look(parts: Parts) -> Any:
            async with parts.db.read() as tx:
                return await queries.coverage(tx, tagged.tag or "")

        return do(settings, run_async, look)

    before = {row.region_code: row for row in coverage()}
    county = before[listed.id_number[:6]]
    assert (county.made, county.used) == (1, 0)
    assert sum(row.listed for row in before.values()) == 2
    assert before[broken.id_number[:6]].bad == 1

    account = client("app-1").register_account(vars(listed), real_name="police_online")
    assert account["real_name_level"] == 2
    code = client("app-1").issue_code(account["vuid"], code_class="visit")
    client("term-1").verify_code(code["text"], purpose="visit")
    assert {row.region_code: row for row in coverage()}[listed.id_number[:6]].used == 1


def test_visit_cards_become_electronic_cards(
    settings: Settings,
    run_async: Callable[..., Any],
    client: Callable[[str], Client],
    new_resident: Residents,
    tmp_path: Path,
) -> None:
    one, two = new_resident(), new_resident()
    path = tmp_path / "visit.csv"
    rows = [("000123", one), ("000124", two), ("000123", two)]
    text = "就诊卡号," + HEADING + "\n" + "".join(f"{number},{line_of(person)}\n" for number, person in rows)
    path.write_text(text, encoding="utf-8")
    wanted = Options(kind="visit-cards", institution_id="inst-h1")
    done = do(settings, run_async, lambda parts: load(parts, path, wanted))
    assert (done.opened, done.bad, done.reasons) == (2, 1, {"CRD-4104": 1})


def test_physical_cards_go_to_the_registry_as_a_delivery(
    settings: Settings, run_async: Callable[..., Any], new_resident: Residents, tmp_path: Path, database_url: str
) -> None:
    path = tmp_path / "cards.csv"
    rows = [("610100000001", new_resident()), ("610100000002", new_resident()), ("", new_resident())]
    text = "健康卡号,卡类型," + HEADING + "\n" + "".join(f"{number},01,{line_of(each)}\n" for number, each in rows)
    path.write_text(text, encoding="utf-8")
    wanted = Options(kind="physical-cards", institution_id="inst-h1")
    done = do(settings, run_async, lambda parts: load(parts, path, wanted))
    assert (done.state, done.rows, done.bad) == ("done", 3, 0)
    with psycopg.connect(database_url) as connection:
        arrived = connection.execute(
            "SELECT count(*) FROM cards_arrival WHERE delivery = %s", [done.batch_id]
        ).fetchone()
    assert arrived == (3,)


def test_a_repeated_row_says_which_row_it_repeats(
    settings: Settings, run_async: Callable[..., Any], new_resident: Residents, tmp_path: Path
) -> None:
    """Whatever chunk is done first: the repeated row is compared with the first, and counts where that was refused."""
    people = list({(each := new_resident()).id_number: each for _ in range(cutting.ROWS + 20)}.values())
    good, named, saved = people[0], people[1], people[2]
    lines = [line_of(good), line_of(named), line_of(saved, name="1"), *map(line_of, people[3:])]
    end = len(lines) + 2
    lines += [line_of(good, phone="13900139000"), line_of(named, name="李四"), line_of(saved), line_of(good)]
    path = written(tmp_path, *lines)

    async def work(parts: Parts) -> Any:
        taken = await receive(parts, path)
        tried = await service.check(
            parts.db, parts.vault, taken.batch_id, scope=PLATFORM, now=clock.now(), say=lambda _rows: None
        )
        done = await load(parts, path)
        async with parts.db.read() as tx:
            return tried, done, await queries.bad_rows(tx, await parts.vault.sealer(), done.batch_id, scope=PLATFORM)

    tried, done, bad = do(settings, run_async, work)
    assert (done.opened, done.known, done.bad) == (len(people), 0, 4)
    assert (tried.checked.opened, tried.checked.bad, tried.checked.reasons) == (done.opened, done.bad, done.reasons)
    told = {row.row: (row.code, row.zh) for row in bad}
    assert told[end] == ("CRD-4106", "与本文件第 2 行重复")
    assert told[end + 1][0] == "EMP-1001"
    assert end + 2 not in told
    assert told[end + 3][0] == "CRD-4106"


def test_two_imports_of_one_file_at_once_are_one_batch(
    settings: Settings, run_async: Callable[..., Any], new_resident: Residents, tmp_path: Path
) -> None:
    people = list({(each := new_resident()).id_number: each for _ in range(cutting.ROWS * 2)}.values())
    path = written(tmp_path, *map(line_of, people))

    async def work(parts: Parts) -> Any:
        return await asyncio.gather(*(load(parts, path) for _ in range(3)))

    found = do(settings, run_async, work)
    assert len({each.batch_id for each in found}) == 1

    async def end(parts: Parts) -> BatchView:
        return await load(parts, path)

    done = do(settings, run_async, end)
    assert (done.state, done.rows, done.opened, done.known, done.bad) == ("done", len(people), len(people), 0, 0)
