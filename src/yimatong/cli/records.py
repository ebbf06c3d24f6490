"""``ymt records``: the archive of the records of issue and verification, and the partitions that they are kept in."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from yimatong.apps.assembly import assemble
from yimatong.cards.records import queries, retention
from yimatong.cards.records.schemas import Manifest
from yimatong.kit import clock, log, settings

records_app = typer.Typer(help="生码与验码记录 / records of issue and verification.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(records_app, name="records")


@records_app.command()
def archive(
    *,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM", help="归档此月之前的月份，缺省按保留期 / months before this one; else by retention"
        ),
    ] = None,
) -> None:
    """把早于保留期的月份写入归档并移出数据库 / Archive the months that are older than the retention."""
    current = settings.load()
    log.set_up(process="records", level=40)
    console = Console(stderr=True)
    done = asyncio.run(_archive(current, before, console))
    for month in done:
        sys.stdout.write(f"{month.month}: {month.rows} 条 / rows, {len(month.parts)} 个文件 / files\n")
    if not done:
        sys.stdout.write("没有需要归档的月份 / no month to archive\n")


async def _archive(current: settings.Settings, before: str | None, console: Console) -> list[Manifest]:
    parts = assemble(current)
    now = clock.now()
    try:
        with console.status("归档 / archiving") as status:
            return await retention.archive_months(
                parts.db,
                parts.archive,
                before=retention.month_from(before, now=now) if before else None,
                keep=current.records_keep_months,
                now=now,
                say=status.update,
            )
    finally:
        await parts.close()


@records_app.command(name="months")
def months() -> None:
    """列出在线与已归档的月份 / List the months that are online and those that are archived."""
    current = settings.load()
    log.set_up(process="records", level=40)
    asyncio.run(_months(current))


async def _months(current: settings.Settings) -> None:
    parts = assemble(current)
    try:
        async with parts.db.transaction() as connection:
            made, stray = await retention.keep_partitions(connection, now=clock.now())
            present = await retention.months_online(connection)
            archived = await queries.archived_months(connection)
    finally:
        await parts.close()
    table = Table("月份 / month", "所在 / where", "条数 / rows")
    for name in sorted(archived):
        table.add_row(name, "归档 archive", f"{archived[name]:,}")
    for month in present:
        table.add_row(f"{month:%Y-%m}", "在线 online", "")
    Console().print(table)
    if made or stray:
        sys.stdout.write(f"新建分区 / partitions made: {len(made)}; 默认分区剩余 / left in the default one: {stray}\n")
