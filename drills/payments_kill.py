"""``ymt drill payments-kill``: a thousand processes and two hundred databases die (-9) while people pay.

A whole platform on a new database, with two cores. Payers place, pay and take back without a pause;
a killer ends one to four processes at a time, or the database, at instants drawn from the printed seed. When everything
has settled, each acknowledged order, payment and refund is looked for once in the tables, and our books are compared
with those of the simulated WeChat Pay and of the hospital's system, which were never killed and know the truth. It is
``ymt drill kills`` for payments alone, without pauses; its books and its judgement are that drill's.
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

import psycopg

sys.path.insert(0, str(Path(__file__).parent))

import _aftermath
import _faults
import _payments_kill_strikes as strikes
from _payments_kill_payers import Payer
from _tellers import Told

from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

SETTLE_S = 240.0
"""What killed workers held comes back when its leases end (60 s of the outbox, 45 s of questions), one after the other
where the same thing was held again and again; notices come again by the channel's schedule."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt drill payments-kill", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--kills", type=int, default=1000, help="of core, worker, web and fronts")
    parser.add_argument("--database-kills", type=int, default=200, help="of the database, half of them one backend")
    parser.add_argument("--payers", type=int, default=8, help="how many pay at once")
    parser.add_argument("--seconds", type=float, default=3 * 3600, help="the longest that is killed")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the drill and print the figure; 1 when something is lost, doubled or wrong, or kills are missing."""
    arguments = parse(argv)
    began = time.monotonic()
    print(f"seed {arguments.seed}", flush=True)
    with temporary_home("ymt-drill-") as home:
        platform = LocalPlatform(home, report=_aftermath.say)
        try:
            platform.start(strikes.PROCESSES)
            told, killer, faults = _drill(platform, arguments)
        finally:
            platform.stop()
    by_victim = {name: killer.kills.victims.count(name) for name in sorted(set(killer.kills.victims))}
    _aftermath.say(f"杀进程 / kills: {by_victim}; 支付中 / inside a payment: {len(killer.kills.inside)}")
    _aftermath.show(told, faults)
    counts = _aftermath.counted(faults)
    databases = killer.kills.databases
    processes = len(killer.kills.victims) - databases
    enough = processes >= arguments.kills and databases >= arguments.database_kills
    if not enough:
        _aftermath.say(f"[red]没有达到规定的次数 / fewer kills than asked for, {killer.left} strikes left[/]")
    print(
        f"figure: payments-kill kills={processes} database={databases} lost={counts['lost']} "
        f"doubled={counts['doubled']} wrong={counts['wrong']} acknowledged={len(told.acknowledged)} "
        f"seconds={time.monotonic() - began:.0f} seed={arguments.seed}"
    )
    return 0 if enough and not faults else 1


def _drill(
    platform: LocalPlatform, arguments: argparse.Namespace
) -> tuple[Told, strikes.DenseKiller, list[_faults.Fault]]:
    told, enough = Told(), threading.Event()
    until = time.monotonic() + arguments.seconds + SETTLE_S
    payers = [
        Payer(platform.settings, told, name=f"{arguments.seed}p{number}", until=until, enough=enough)
        for number in range(arguments.payers)
    ]
    killer = strikes.DenseKiller(platform, payers, told, say=_aftermath.say)
    rng = random.Random(arguments.seed)
    wanted = strikes.plan(rng, kills=arguments.kills, databases=arguments.database_kills)

    def strike() -> None:
        killer.run_all(rng, wanted, seconds=arguments.seconds)

    faults = _aftermath.judged(platform, killer, payers, told, strike, enough=enough, settle_s=SETTLE_S)
    return told, killer, [*faults, *_orders(platform.settings.database_url, told)]


def _orders(database_url: str, told: Told) -> list[_faults.Fault]:
    """Every order that was acknowledged is there once, and none is there that nobody asked for."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT source_id, order_no FROM payments_order WHERE source_kind = 'direct' AND source_id LIKE 'K%'"
        ).fetchall()
    found: dict[str, list[str]] = {}
    for source_id, order_no in rows:
        found.setdefault(source_id, []).append(order_no)
    faults = [
        _faults.Fault("doubled", f"{source} was placed {len(numbers)} times")
        for source, numbers in found.items()
        if len(numbers) > 1
    ]
    for each in told.of("order"):
        source = each.wanted["source_no"]
        if each.answer["order_no"] not in found.get(source, []):
            faults.append(_faults.Fault("lost", f"order {each.answer['order_no']} of {source} is not there"))
    asked = {wanted["source_no"] for wanted in told.asked.get("order", {}).values()}
    faults += [_faults.Fault("doubled", f"nobody asked for {source}") for source in found.keys() - asked]
    return faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
