"""``ymt drill payments``: the payments services as they are, in simulated time, with everything going wrong.

One seed is a quarter of an hour of two hospitals: orders, payments by three channels, insurers' parts, refunds, closes,
forged notices, changed keys, dying processes. The services, adapters, PostgreSQL and the parties' books are the real
ones; the network, the clock, the dice and the processes' lives are the drill's (``_payments_*.py``). Then it becomes
calm, workers go on until nothing is due, and fifteen invariants are asked of both sides' books. A seed that breaks one
is printed with its trace; ``--seed`` runs it again, step by step the same. Ten bugs planted on purpose must be found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _payments_plants as plants
from _payments_cast import Cast
from _payments_chance import FAULTS, LISTED
from _payments_database import Server
from _payments_workshop import Slice, be_silent, enter, run_alone, run_slice, workshop

_say = Console(stderr=True, soft_wrap=True, highlight=False)
_SHOWN = 5
_PIECE = 25
_TOLD = 100
"""How many seeds between two lines of progress."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt drill payments", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one alone and print its trace")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--deep-every", type=int, default=100, help="run the reconciliation engine in every n-th seed")
    parser.add_argument("--plant", choices=[*plants.NAMES, "all", "none"], default="all", help="bugs to plant after it")
    parser.add_argument("--plant-seeds", type=int, default=40, help="seeds in which a planted bug must be found")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the drill and print the figure; 1 on a break, or a planted bug that was not caught."""
    arguments = parse(argv)
    be_silent()
    if arguments.seed is not None:
        return _one(arguments)
    began = time.monotonic()
    ops, faults, breaks, seeds = 0, Counter[int](), 0, 0
    for done in _slices(arguments):
        seeds, ops, faults = seeds + done.seeds, ops + done.ops, faults + done.faults
        for failed in done.failed:
            breaks += 1
            if breaks <= _SHOWN:
                _show(failed.seed, failed.breaks, failed.lines)
        if seeds % _TOLD < done.seeds:
            pace = seeds / (time.monotonic() - began)
            _say.print(f"{seeds:,} / {arguments.seeds:,} 个种子 / seeds, breaks {breaks}, {pace:.2f}/s")
    took_s = time.monotonic() - began
    named = [] if arguments.plant == "none" else list(plants.NAMES) if arguments.plant == "all" else [arguments.plant]
    caught = _planted(named, arguments.plant_seeds)
    for number, name in FAULTS.items():
        _say.print(f"{number:>2} {name}: {faults[number]}")
    listed = sum(count for number, count in faults.items() if number <= LISTED)
    print(
        f"figure: payments seeds={seeds} ops={ops} faults={sum(faults.values())} breaks={breaks} "
        f"planted={len(named)} caught={caught} seconds={time.monotonic() - began:.0f} "
        f"(seeds_per_s={seeds / max(took_s, 0.001):.2f} listed_faults={listed})"
    )
    return 1 if breaks or caught < len(named) else 0


def _slices(arguments: argparse.Namespace) -> Iterator[Slice]:
    """Run the seeds in pieces, in this process or in several."""
    last = arguments.first + arguments.seeds
    size = max(1, min(_PIECE, arguments.seeds // (2 * arguments.jobs)))
    pieces = [range(start, min(start + size, last)) for start in range(arguments.first, last, size)]
    if arguments.jobs == 1:
        with workshop() as (server, cast):
            for piece in pieces:
                yield run_slice(server, cast, piece, deep_every=arguments.deep_every)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn, initializer=enter) as pool:
        yield from pool.map(run_alone, pieces, repeat(arguments.deep_every))


def _one(arguments: argparse.Namespace) -> int:
    """Run one seed, with a planted bug if one is named, and print its trace and digest."""
    from _payments_seed import run_seed  # noqa: PLC0415 -- it needs the whole platform

    with workshop() as (server, cast):
        name = arguments.plant
        if name in plants.NAMES:
            with plants.planted(name) as prepare:
                done = run_seed(server, cast, arguments.seed, deep=True, prepare=prepare)
        else:
            done = run_seed(server, cast, arguments.seed, deep=True)
    _show(done.seed, done.breaks, done.lines)
    print(f"seed {done.seed} digest {done.digest} ops {done.ops} breaks {len(done.breaks)}")
    return 1 if done.breaks else 0


def _planted(names: Sequence[str], seeds: int) -> int:
    """Plant each bug and run seeds until it is found; return how many were."""
    caught = 0
    if names:
        with workshop() as (server, cast):
            for name in names:
                caught += _is_found(server, cast, name, seeds)
    return caught


def _is_found(server: Server, cast: Cast, name: str, seeds: int) -> bool:
    """Look for a planted bug; a seed that breaks without it too has not found it."""
    from _payments_seed import run_seed  # noqa: PLC0415 -- it needs the whole platform

    for seed in plants.seeds(name, seeds):
        with plants.planted(name) as prepare:
            done = run_seed(server, cast, seed, prepare=prepare)
        if done.breaks and not run_seed(server, cast, seed).breaks:
            invariant, what = done.breaks[0]
            _say.print(f"planted {name}: found by seed {seed}, invariant {invariant}: {what}")
            return True
    _say.print(f"[red]planted {name}: not found in {seeds} seeds[/]")
    return False


def _show(seed: int, breaks: Sequence[tuple[int, str]], lines: Sequence[str]) -> None:
    for line in lines:
        print(f"  {line}")
    for invariant, what in breaks:
        print(f"seed {seed} breaks invariant {invariant}: {what}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
