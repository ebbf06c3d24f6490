"""``ymt verify cards``: prove that the registry of physical cards and the accounts agree, and mend what does not."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.registry import divergence, repair, tasks
from yimatong.cards.registry.divergence import KINDS, Divergence, Progress
from yimatong.cli import verify_index
from yimatong.kit import clock, log, settings
from yimatong.kit.db import Database
from yimatong.kit.outbox import Relay

_ROUNDS_MAX = 4
_EXAMPLES_MAX = 3
_MOST = 200


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found and what is left of it."""

    accounts: int
    cards: int
    found: list[Divergence]
    left: list[Divergence]
    seconds: float


def register(app: typer.Typer) -> None:
    """Add the command."""
    verify_app = typer.Typer(help="核对数据是否一致 / prove that books agree.", no_args_is_help=True)
    verify_app.command(name="cards")(cards)
    verify_app.command(name="index")(verify_index.index)
    app.add_typer(verify_app, name="verify")

    @verify_app.callback()
    def verify() -> None:
        """核对数据是否一致 / Prove that books agree."""


def cards(
    *,
    mend: Annotated[bool, typer.Option("--repair", help="修复发现的不一致 / mend what differs")] = False,
) -> None:
    """核对实体卡登记与电子健康卡账户 / Compare the registry of physical cards with the accounts."""
    current = settings.load()
    log.set_up(process="verify", level=40)
    result = asyncio.run(_run(current, mend=mend))
    show(result, Console(), repaired=mend)
    if result.left:
        raise typer.Exit(1)


async def _run(current: settings.Settings, *, mend: bool) -> Result:
    parts = assemble(current)
    started = time.monotonic()
    try:
        counted, found = await _look(parts.db)
        left = found
        for _ in range(_ROUNDS_MAX if mend else 0):
            if not left:
                break
            for start in range(0, len(left), repair.BATCH):
                async with parts.db.transaction() as connection:
                    await repair.mend(connection, parts.vault, left[start : start + repair.BATCH], now=clock.now())
            await _deliver(parts)
            before = left
            _, left = await _look(parts.db)
            if left == before:
                break
    finally:
        await parts.close()
    return Result(
        accounts=counted.accounts,
        cards=counted.cards,
        found=found,
        left=left,
        seconds=time.monotonic() - started,
    )


async def _look(db: Database) -> tuple[Progress, list[Divergence]]:
    """Walk both sides once, with a line on the screen that says how far the walk is."""
    counted, found = Progress(), []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True) if console.is_terminal else nullcontext() as bar:
        task = bar.add_task("") if bar else None
        async for part in divergence.walk(db, counted):
            found += part
            if bar and task is not None:
                said = f"账户 accounts {counted.accounts:,} · 实体卡 cards {counted.cards:,} · 不一致 {len(found):,}"
                bar.update(task, description=said)
    return counted, found


async def _deliver(parts: Parts) -> None:
    """Carry the announcements over, whether or not a worker runs; what does not go stays for the worker to try."""
    relay = Relay(parts.db, tasks.handlers(parts.db, parts.vault))
    while await relay.deliver_due(now=clock.now(), most=_MOST):
        pass


def show(result: Result, console: Console, *, repaired: bool) -> None:
    """Print a table by kind, and the figure."""
    if result.found:
        console.print(_table(result.found, result.left, repaired=repaired))
        if result.left and not repaired:
            console.print("修复：ymt verify cards --repair / to mend: ymt verify cards --repair")
        elif result.left:
            console.print("其余需人工核实 / the rest needs a person to decide")
    else:
        console.print("登记与账户一致 / the registry and the accounts agree")
    mended = len(result.found) - len(result.left) if repaired else 0
    sys.stdout.write(
        f"figure: verify-cards accounts={result.accounts} cards={result.cards} diverged={len(result.found)}"
        f" repaired={max(mended, 0)} seconds={result.seconds:.1f}\n"
    )


def _table(found: Sequence[Divergence], left: Sequence[Divergence], *, repaired: bool) -> Table:
    table = Table(title="不一致 / divergences", title_justify="left")
    table.add_column("类型 kind")
    table.add_column("发现 found", justify="right")
    table.add_column("剩余 left", justify="right")
    table.add_column("例 examples", overflow="fold")
    first, last = Counter(each.kind for each in found), Counter(each.kind for each in left)
    for kind in KINDS:
        if not first[kind] and not last[kind]:
            continue
        shown = [each.key[:16] for each in (left if repaired and last[kind] else found) if each.kind == kind]
        zh, en = KINDS[kind]
        table.add_row(f"{zh}\n{en}", f"{first[kind]:,}", f"{last[kind]:,}", "\n".join(shown[:_EXAMPLES_MAX]))
    return table
