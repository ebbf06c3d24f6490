"""``ymt verify index``: prove that the person index keeps its promises, and mend what follows from something else."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from yimatong.apps.assembly import Parts, assemble
from yimatong.empi.merges import verifying
from yimatong.empi.merges.verifying import BATCH, KINDS, MENDED, Finding
from yimatong.kit import clock, log, settings

_ROUNDS_MAX = 3
_EXAMPLES_MAX = 3


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found and what is left of it."""

    persons: int
    found: list[Finding]
    left: list[Finding]
    seconds: float


def index(
    *,
    mend: Annotated[bool, typer.Option("--repair", help="修复可由其他数据推出的问题 / mend what follows")] = False,
) -> None:
    """核对主索引的各项约束 / Prove that the person index keeps its promises."""
    current = settings.load()
    log.set_up(process="verify", level=40)
    result = asyncio.run(run(current, mend=mend))
    show(result, Console(), repaired=mend)
    if result.left:
        raise typer.Exit(1)


async def run(current: settings.Settings, *, mend: bool) -> Result:
    """Look, mend if told so, and look again."""
    parts = assemble(current)
    started = time.monotonic()
    try:
        persons, found = await _look(parts)
        left = found
        for _ in range(_ROUNDS_MAX if mend else 0):
            mendable = [each for each in left if each.kind in MENDED]
            if not mendable:
                break
            for start in range(0, len(mendable), BATCH):
                await _mend(parts, mendable[start : start + BATCH])
            before = left
            _, left = await _look(parts)
            if left == before:
                break
    finally:
        await parts.close()
    return Result(persons=persons, found=found, left=left, seconds=time.monotonic() - started)


async def _look(parts: Parts) -> tuple[int, list[Finding]]:
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    async with parts.db.read() as connection:
        found = await verifying.look(connection)
        persons = 0
        async for seen, differing in verifying.look_at_golden(connection, sealer=sealer, blinder=blinder):
            persons += seen
            found += differing
    return persons, found


async def _mend(parts: Parts, found: list[Finding]) -> None:
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    async with parts.db.transaction() as connection:
        await verifying.mend(connection, found, sealer=sealer, blinder=blinder, now=clock.now())


def show(result: Result, console: Console, *, repaired: bool) -> None:
    """Print a table by kind, and the figure."""
    if result.found:
        console.print(_table(result, repaired=repaired))
        if result.left and not repaired:
            console.print("修复：ymt verify index --repair / to mend: ymt verify index --repair")
        elif result.left:
            console.print("其余需人工核实 / the rest needs a person to decide")
    else:
        console.print("主索引各项约束成立 / the person index keeps its promises")
    mended = max(len(result.found) - len(result.left), 0) if repaired else 0
    sys.stdout.write(
        f"figure: verify-index persons={result.persons} broken={len(result.found)} repaired={mended}"
        f" seconds={result.seconds:.1f}\n"
    )


def _table(result: Result, *, repaired: bool) -> Table:
    table = Table(title="不成立的约束 / broken promises", title_justify="left")
    table.add_column("类型 kind")
    table.add_column("发现 found", justify="right")
    table.add_column("剩余 left", justify="right")
    table.add_column("例 examples", overflow="fold")
    first, last = Counter(each.kind for each in result.found), Counter(each.kind for each in result.left)
    for kind, (zh, en) in KINDS.items():
        if not first[kind] and not last[kind]:
            continue
        listed = result.left if repaired and last[kind] else result.found
        shown = [each.key for each in listed if each.kind == kind][:_EXAMPLES_MAX]
        table.add_row(f"{zh}\n{en}", f"{first[kind]:,}", f"{last[kind]:,}", "\n".join(shown))
    return table
