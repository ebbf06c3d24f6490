"""``ymt outbox``: messages that were tried for the last time, and another round for them once the cause is mended."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated

import typer
from rich.console import Console

from yimatong.apps.assembly import Parts
from yimatong.cli.errors import MessageNotParked
from yimatong.cli.secrets_read import with_parts
from yimatong.kit import audit, clock, outbox
from yimatong.kit.ids import new_id

_ID_MAX = 2**63 - 1
_SHOWN = 100

outbox_app = typer.Typer(help="待人工处理的消息 / parked messages.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(outbox_app, name="outbox")


@outbox_app.command(name="parked")
def parked(
    *, after: Annotated[int, typer.Option(min=0, max=_ID_MAX, help="从此编号之后 / from behind this id on")] = 0
) -> None:
    """列出投递失败、待人工处理的消息 / List the messages that were given up after their last try."""
    asyncio.run(with_parts(lambda parts: _parked(parts, after)))


async def _parked(parts: Parts, after: int) -> None:
    async with parts.db.read() as connection:
        found = await outbox.parked(connection, limit=_SHOWN, after=after)
        number = (await outbox.counts(connection)).get("parked", 0)
    console = Console()
    for each in found:
        at = f"{each.created_at.astimezone(clock.BEIJING):%Y-%m-%d %H:%M}"
        why = each.last_error or "-"
        words = f"{each.id}  {at}  {each.topic}  {each.ordering_key}  {why}"
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    typer.echo(f"待人工处理 / parked: {number}")
    if len(found) == _SHOWN:
        typer.echo(f"继续查看 / more: ymt outbox parked --after {found[-1].id}")


@outbox_app.command(name="replay")
def replay(message_id: Annotated[int, typer.Argument(min=1, max=_ID_MAX, help="消息编号 / id of the message")]) -> None:
    """让一条消息重新投递（先排除原因）/ Give a parked message another round of tries; mend the cause first."""
    asyncio.run(with_parts(lambda parts: _replay(parts, message_id)))
    typer.echo(f"消息 {message_id} 将重新投递 / message {message_id} will be delivered again")


async def _replay(parts: Parts, message_id: int) -> None:
    now = clock.now()
    async with parts.db.transaction() as connection:
        if not await outbox.replay(connection, message_id, now=now):
            raise MessageNotParked(message_id=message_id)
        await audit.record(
            connection,
            actor=f"cli:{getpass.getuser()}",
            action="outbox:replay",
            object_kind="outbox",
            object_id=str(message_id),
            request_id=new_id("op"),
            now=now,
        )
