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
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import _aftermath
import _faults
from _killer import Killer, Kills
from _tellers import Teller, Told

from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

SETTLE_S = 75.0
"""Longer than the longest lease (60 s, of the outbox): what a killed worker held comes back when its lease ends."""


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
        platform = LocalPlatform(home, report=_aftermath.say)
        try:
            platform.start()
            told, kills, faults = _drill(platform, arguments)
        finally:
            platform.stop()
    slowest = max(kills.restart_s, default=0.0)
    _aftermath.say(f"支付中的杀进程 / inside payment: {'; '.join(kills.inside)}")
    _aftermath.say(f"最慢恢复 / slowest restart {slowest:.1f} s")
    _aftermath.show(told, faults)
    counts = _aftermath.counted(faults)
    enough = kills.enough(arguments.kills)
    if not enough:
        _aftermath.say("[red]没有达到规定的次数 / fewer kills than required[/]")
    print(
        f"figure: kills kills={len(kills.victims)} payment={len(kills.inside)} database={kills.databases} "
        f"acknowledged={len(told.acknowledged)} lost={counts['lost']} doubled={counts['doubled']} "
        f"seconds={time.monotonic() - began:.0f} seed={arguments.seed}"
    )
    return 0 if enough and not faults else 1


def _drill(platform: LocalPlatform, arguments: argparse.Namespace) -> tuple[Told, Kills, list[_faults.Fault]]:
    told, enough = Told(), threading.Event()
    until = time.monotonic() + 1.3 * arguments.seconds + SETTLE_S
    tellers = [
        Teller(platform.settings, told, name=f"{arguments.seed}t{number}", until=until, enough=enough)
        for number in range(arguments.tellers)
    ]
    killer = Killer(platform, tellers, told, say=_aftermath.say)

    def strike() -> None:
        killer.run(random.Random(arguments.seed), wanted=arguments.kills, seconds=arguments.seconds)

    faults = _aftermath.judged(platform, killer, tellers, told, strike, enough=enough, settle_s=SETTLE_S)
    return told, killer.kills, faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
