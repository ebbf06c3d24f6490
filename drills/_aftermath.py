"""What both kill drills do around their killing: people use the platform, all settles, and everything is judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import _books
import _faults
import psycopg
from _killer import Killer
from _tellers import Teller, Told, WitnessCast
from rich.console import Console

from yimatong.cli.platform import LocalPlatform
from yimatong.kit.log import KitLog

KINDS: Final = ("lost", "doubled", "wrong")
_SHOWN: Final = 40
say: Final = Console(stderr=True, soft_wrap=True, highlight=False).print


def judged(
    platform: LocalPlatform,
    killer: Killer,
    people: Sequence[Teller],
    told: Told,
    strike: Callable[[], object],
    *,
    enough: threading.Event,
    settle_s: float,
) -> list[_faults.Fault]:
    """Let people use the platform while ``strike`` kills, wait until everything has settled, and return every fault.

    ``enough`` is set when the killing is over: people then end what they have begun.
    """
    database_url = platform.settings.database_url
    before = _accounts(database_url)
    for each in people:
        each.start()
    try:
        strike()
    finally:
        enough.set()
    say("等待全部收尾 / waiting until everything has settled")
    killer.bring_back_the_dead()
    until = time.monotonic() + settle_s
    for each in people:
        each.join(max(until - time.monotonic(), 1))
        if each.is_alive():
            told.surprise(f"{each.name} is stuck at {each.stage or 'the window'}")
    killer.bring_back_the_dead()
    left = _books.await_settled(database_url, seconds=settle_s)
    if left:
        told.surprise(f"never settled: {left}")
    for name, line in _unexpected(platform.data / "logs"):
        told.surprise(f"{name} wrote: {line}")
    cast = WitnessCast(platform.settings, told, until=time.monotonic() + 10)
    try:
        books = _books.read(platform.settings, cast, told)
    finally:
        cast.close()
    return _faults.find(told, books, before=before)


def show(told: Told, faults: Sequence[_faults.Fault]) -> None:
    """Say what was told and answered, and print the first faults."""
    by_kind = ", ".join(f"{kind} {number}" for kind, number in sorted(_faults.acknowledged(told).items()))
    statuses = ", ".join(f"{status}: {number}" for status, number in sorted(told.statuses.items()))
    say(f"讲完 {told.tales} 遍；已确认 / tales told; acknowledged: {by_kind}")
    say(f"应答 / answers: {statuses}; 无应答 / none: {told.unanswered}")
    for fault in faults[:_SHOWN]:
        print(f"{fault.kind}: {fault.text}")
    if len(faults) > _SHOWN:
        print(f"... {len(faults) - _SHOWN} more")


def counted(faults: Sequence[_faults.Fault]) -> dict[str, int]:
    """Return how many faults there are of each kind."""
    return {kind: sum(fault.kind == kind for fault in faults) for kind in KINDS}


def _unexpected(logs: Path) -> Iterator[tuple[str, str]]:
    """Return what the processes logged as unexpected failures: head and end of each line, where its cause stands."""
    for path in sorted(logs.glob("*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if f'"{KitLog.REQUEST_FAILED.code}"' in line:
                yield path.stem, line if len(line) < 1200 else f"{line[:200]} ... {line[-900:]}"


def _accounts(database_url: str) -> frozenset[str]:
    with psycopg.connect(database_url) as connection:
        return frozenset(str(row[0]) for row in connection.execute("SELECT vuid FROM cards_account"))
