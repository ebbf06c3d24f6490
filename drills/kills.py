"""``ymt drill kills``: processes are killed (-9) while the story is told; nothing is lost, nothing happens twice.

A whole platform is started on a new database. Storytellers tell the story again and again over HTTP; a killer ends
core, pages, worker, fronts and the database at instants drawn from the printed seed and brings them back. When
everything has settled, every acknowledged operation is looked for in the tables, and our books are compared with those
of the simulated WeChat Pay and of the hospital's system, which were never killed and know the truth.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _books
import _faults
from _killer import Killer, Kills
from _tellers import Teller, Told, WitnessCast

from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home
from yimatong.kit.log import KitLog

SETTLE_S = 75.0
"""Longer than the longest lease (60 s, of the outbox): what a killed worker held comes back when its lease ends."""

_SHOWN = 40
_say = Console(stderr=True, soft_wrap=True, highlight=False)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt drill kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--kills", type=int, default=30, help="how many; twenty at least are done")
    parser.add_argument("--tellers", type=int, default=4, help="how many tell the story at once")
    parser.add_argument(
        "--seconds", type=float, default=55, help="time for the kills; a third of it again when they are too few"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the drill and print the figure; 1 when something is lost, doubled or wrong, or too few kills were done."""
    arguments = parse(argv)
    began = time.monotonic()
    print(f"seed {arguments.seed}", flush=True)
    with temporary_home("ymt-drill-") as home:
        platform = LocalPlatform(home, report=_say.print)
        try:
            platform.start()
            told, kills, faults = _drill(platform, arguments)
        finally:
            platform.stop()
    _show(told, kills, faults)
    counts = {kind: sum(fault.kind == kind for fault in faults) for kind in ("lost", "doubled", "wrong")}
    enough = kills.enough(arguments.kills)
    if not enough:
        _say.print("[red]没有达到规定的次数 / fewer kills than required[/]")
    print(
        f"figure: kills kills={len(kills.victims)} payment={len(kills.inside)} database={kills.databases} "
        f"acknowledged={len(told.acknowledged)} lost={counts['lost']} doubled={counts['doubled']} "
        f"seconds={time.monotonic() - began:.0f} seed={arguments.seed}"
    )
    return 0 if enough and not faults else 1


def _drill(platform: LocalPlatform, arguments: argparse.Namespace) -> tuple[Told, Kills, list[_faults.Fault]]:
    settings, told, enough = platform.settings, Told(), threading.Event()
    before = accounts(settings.database_url)
    until = time.monotonic() + 1.3 * arguments.seconds + SETTLE_S
    tellers = [
        Teller(settings, told, name=f"{arguments.seed}t{number}", until=until, enough=enough)
        for number in range(arguments.tellers)
    ]
    for teller in tellers:
        teller.start()
    killer = Killer(platform, tellers, told, say=_say.print)
    try:
        killer.run(random.Random(arguments.seed), wanted=arguments.kills, seconds=arguments.seconds)
    finally:
        enough.set()
    _say.print("等待全部收尾 / waiting until everything has settled")
    for teller in tellers:
        teller.join(max(until - time.monotonic(), 1))
        if teller.is_alive():
            told.surprise(f"{teller.name} is stuck at {teller.stage or 'the window'}")
    killer.bring_back_the_dead()
    left = _books.await_settled(settings.database_url, seconds=SETTLE_S)
    if left:
        told.surprise(f"never settled: {left}")
    for name, line in unexpected(platform.data / "logs"):
        told.surprise(f"{name} wrote: {line}")
    cast = WitnessCast(settings, told, until=time.monotonic() + 10)
    try:
        books = _books.read(settings, cast, told)
    finally:
        cast.close()
    return told, killer.kills, _faults.find(told, books, before=before)


def unexpected(logs: Path) -> Iterator[tuple[str, str]]:
    """Return what the processes logged as unexpected failures: those that answered outside parties are among them."""
    for path in sorted(logs.glob("*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if f'"{KitLog.REQUEST_FAILED.code}"' in line:
                yield path.stem, line[:2000]


def accounts(database_url: str) -> frozenset[str]:
    """Return the VUIDs of the accounts that are there."""
    with psycopg.connect(database_url) as connection:
        return frozenset(str(row[0]) for row in connection.execute("SELECT vuid FROM cards_account"))


def _show(told: Told, kills: Kills, faults: Sequence[_faults.Fault]) -> None:
    by_kind = ", ".join(f"{kind} {number}" for kind, number in sorted(_faults.acknowledged(told).items()))
    statuses = ", ".join(f"{status}: {number}" for status, number in sorted(told.statuses.items()))
    slowest = max(kills.restart_s, default=0.0)
    _say.print(f"讲完 {told.tales} 遍；已确认 / tales told; acknowledged: {by_kind}")
    _say.print(
        f"应答 / answers: {statuses}; 无应答 / none: {told.unanswered}; 最慢恢复 / slowest restart {slowest:.1f} s"
    )
    _say.print(f"支付中的杀进程 / inside payment: {'; '.join(kills.inside)}")
    for fault in faults[:_SHOWN]:
        print(f"{fault.kind}: {fault.text}")
    if len(faults) > _SHOWN:
        print(f"... {len(faults) - _SHOWN} more")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
