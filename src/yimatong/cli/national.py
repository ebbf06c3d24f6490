"""``ymt national``: how the exchange with the national person index stands, and what to send or do again."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated

import typer
from rich.console import Console

from yimatong.apps import parties
from yimatong.apps.assembly import Parts
from yimatong.cli.secrets_read import with_parts
from yimatong.empi.errors import NationalNotConnected
from yimatong.empi.national import queries, service
from yimatong.kit import audit, clock
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id

national_app = typer.Typer(help="国家居民主索引 / the national person index.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(national_app, name="national")


@national_app.command()
def status() -> None:
    """显示上传台账与通知的进度 / Show how upload and notices stand."""
    asyncio.run(with_parts(_status))


@national_app.command()
def refused() -> None:
    """列出被国家平台拒绝的上传 / List what the national index refused."""
    asyncio.run(with_parts(_refused))


@national_app.command()
def stuck() -> None:
    """列出无法处理的通知 / List notices that could not be done."""
    asyncio.run(with_parts(_stuck))


@national_app.command()
def again(item: Annotated[str, typer.Argument(help="台账编号 / id of the entry")]) -> None:
    """重新上传被拒绝的一条 / Send what was refused once more."""
    asyncio.run(with_parts(lambda parts: _again(parts, item)))


@national_app.command(name="take-up")
def take_up(notice: Annotated[str, typer.Argument(help="通知编号 / id of the notice")]) -> None:
    """重新处理一条通知 / Try a notice again."""
    asyncio.run(with_parts(lambda parts: _take_up(parts, notice)))


async def _status(parts: Parts) -> None:
    now = clock.now()
    if parties.national(parts.db, parts.vault, parts.outbound, parts.settings) is None:
        raise NationalNotConnected
    async with parts.db.read() as connection:
        stands = await queries.progress(connection, now=now)
    oldest = 0 if stands.oldest_due is None else int((now - stands.oldest_due).total_seconds())
    _print(
        f"figure: national due={stands.due} sent={stands.sent} unknown={stands.unknown} refused={stands.refused} "
        f"acknowledged={stands.acknowledged} waiting={stands.waiting} stuck={stands.stuck} oldest_due_s={oldest}"
    )


async def _refused(parts: Parts) -> None:
    async with parts.db.read() as connection:
        found = await queries.refused(connection)
    for each in found:
        zh, en = queries.REASONS.get(each.reason, (each.reason, ""))
        _print(f"{each.item_id}  {each.settled_at:%Y-%m-%d %H:%M}  {each.action}  {each.reason}  {zh} / {en}")


async def _stuck(parts: Parts) -> None:
    async with parts.db.read() as connection:
        found = await queries.stuck(connection)
    for each in found:
        _print(f"{each.notice_id}  {each.received_at:%Y-%m-%d %H:%M}  {each.kind}  {each.state}  {each.outcome}")


async def _again(parts: Parts, item: str) -> None:
    async with parts.db.transaction() as connection:
        await service.send_again(connection, item, now=clock.now())
        await _note(connection, "national.send-again", item)


async def _take_up(parts: Parts, notice: str) -> None:
    async with parts.db.transaction() as connection:
        await service.take_up_notice(connection, notice, now=clock.now())
        await _note(connection, "national.take-up", notice)


async def _note(connection: Connection, action: str, object_id: str) -> None:
    await audit.record(
        connection,
        actor=f"cli:{getpass.getuser()}",
        action=action,
        object_kind="national",
        object_id=object_id,
        request_id=new_id("op"),
        now=clock.now(),
    )


def _print(words: str) -> None:
    Console().print(words, markup=False, highlight=False, soft_wrap=True)
