"""``ymt import KIND FILE``: residents, visit cards and physical cards from CSV or XLSX files."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.batches import columns, service
from yimatong.cards.batches.schemas import BatchView
from yimatong.cards.batches.service import Options
from yimatong.cards.errors import BatchOptionInvalid
from yimatong.kit import clock, log, settings, spreadsheets
from yimatong.kit.errors import catalogue

_KINDS = {
    "residents": ("居民名单，预发卡", "residents of a list: cards are pre-issued"),
    "visit-cards": ("医院就诊卡转电子健康卡", "a hospital's visit cards become electronic cards"),
    "physical-cards": ("实体居民健康卡", "physical health cards"),
}

imports = typer.Typer(name="import", help="批量导入 / import files.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV 或 XLSX 文件 / a CSV or XLSX file", exists=True)]
Institution = Annotated[str | None, typer.Option(help="机构编号 / institution id")]
Tag = Annotated[str | None, typer.Option(help="人群标签，如 贫困人口 / tag of the group")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=HEADING", help="指定列，可重复 / a field's column, repeatable"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="只检查，不写入 / check everything, write nothing")]
Report = Annotated[Path | None, typer.Option(help="把未导入的行写入此 CSV/XLSX / write refused rows to this CSV/XLSX")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(imports)


@imports.command(help=" / ".join(_KINDS["residents"]))
def residents(  # noqa: D103 -- its help is above
    file: File,
    *,
    tag: Tag = None,
    institution: Institution = None,
    mapping: Map = None,
    dry_run: DryRun = False,
    report: Report = None,
) -> None:
    _import(
        file, Options(kind="residents", institution_id=institution, tag=tag, given=_given(mapping)), dry_run, report
    )


@imports.command("visit-cards", help=" / ".join(_KINDS["visit-cards"]))
def visit_cards(  # noqa: D103 -- its help is above
    file: File, *, institution: Institution = None, mapping: Map = None, dry_run: DryRun = False, report: Report = None
) -> None:
    _import(file, Options(kind="visit-cards", institution_id=institution, given=_given(mapping)), dry_run, report)


@imports.command("physical-cards", help=" / ".join(_KINDS["physical-cards"]))
def physical_cards(  # noqa: D103 -- its help is above
    file: File, *, institution: Institution = None, mapping: Map = None, dry_run: DryRun = False, report: Report = None
) -> None:
    _import(file, Options(kind="physical-cards", institution_id=institution, given=_given(mapping)), dry_run, report)


def _given(mapping: list[str] | None) -> Mapping[str, str]:
    pairs = [each.partition("=") for each in mapping or []]
    for field, _, heading in pairs:
        if field not in columns.FIELDS or not heading:
            raise BatchOptionInvalid(detail=f"--map {field}={heading}")
    return {field: heading for field, _, heading in pairs}


def _import(file: Path, options: Options, dry_run: bool, report: Path | None) -> None:  # noqa: FBT001 -- as typed
    current = settings.load()
    log.set_up(process="import", level=40)
    refused = asyncio.run(_run(current, file, options, dry_run=dry_run, report=report))
    raise typer.Exit(2 if refused else 0)


async def _run(current: settings.Settings, file: Path, options: Options, *, dry_run: bool, report: Path | None) -> int:
    """Receive, then try or run; return how many rows were refused."""
    console = Console(stderr=True)
    parts = assemble(current)
    try:
        with console.status("读取文件 / reading the file"):
            taken = await service.receive(
                parts.db, parts.vault, file, options, file_name=file.name, made_by="ymt import", now=clock.now()
            )
        console.print(_columns(taken))
        if taken.state == "done":
            console.print(f"该文件已导入完成（批次 {taken.batch_id}）/ this file was imported before")
            found = taken
        elif dry_run:
            found = await _try(parts, taken, console)
        else:
            found = await _load(parts, taken, console)
        console.print(_result(found))
        if report is not None:
            written = await _write_report(parts, found, report)
            console.print(f"未导入的 {written} 行已写入 {report} / refused rows written")
        return found.checked.bad if dry_run and found.checked else found.bad
    finally:
        await parts.close()


async def _try(parts: Parts, taken: BatchView, console: Console) -> BatchView:
    with _progress(console) as progress:
        task = progress.add_task("检查 / checking", total=taken.rows)
        return await service.check(
            parts.db,
            parts.vault,
            taken.batch_id,
            scope=PLATFORM,
            now=clock.now(),
            say=lambda tried: progress.update(task, completed=tried),
        )


async def _load(parts: Parts, taken: BatchView, console: Console) -> BatchView:
    async with parts.db.transaction() as tx:
        await service.start(tx, taken.batch_id, scope=PLATFORM, now=clock.now(), queue=False)
    with _progress(console) as progress:
        task = progress.add_task("导入 / importing", total=taken.rows, completed=taken.done)
        return await service.run(
            parts.db,
            parts.vault,
            taken.batch_id,
            clock=clock.now,
            say=lambda rows, _bad: progress.advance(task, rows),
        )


class _Speed(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        """Write the speed of the last moments."""
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} 行/秒 rows/s")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _columns(taken: BatchView) -> Table:
    table = Table(title=f"批次 {taken.batch_id} / batch ({taken.encoding}, {taken.rows} 行 rows)")
    table.add_column("含义 / field")
    table.add_column("文件中的列 / heading")
    for field, heading in taken.columns.items():
        table.add_row(f"{columns.FIELDS[field][0]} {field}", heading)
    for heading in taken.unknown:
        table.add_row("[dim]不使用 / not used[/dim]", heading)
    return table


def _result(found: BatchView) -> Table:
    counts = found.checked if found.state == "checked" and found.checked else found
    known = catalogue()
    table = Table(title="检查结果 / dry run" if found.state == "checked" else f"结果 / result: {found.state}")
    table.add_column("结果 / outcome")
    table.add_column("行数 / rows", justify="right")
    table.add_row("新开卡 / cards opened", f"{counts.opened:,}")
    table.add_row("已有卡 / known before", f"{counts.known:,}")
    table.add_row("未导入 / refused", f"{counts.bad:,}")
    for code, number in counts.reasons.items():
        reason = re.sub(r"\{\w+\}", "…", known[code].zh) if code in known else code
        table.add_row(f"  {code} {reason}", f"{number:,}")
    return table


async def _write_report(parts: Parts, found: BatchView, report: Path) -> int:
    rows = await service.report(parts.db, parts.vault, found.batch_id, scope=PLATFORM)
    made = spreadsheets.xlsx_bytes if report.suffix.lower() == ".xlsx" else spreadsheets.csv_bytes
    await asyncio.to_thread(report.write_bytes, made(rows))
    return len(rows) - 1
