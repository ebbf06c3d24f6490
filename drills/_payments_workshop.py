"""What a process needs to run seeds: its own PostgreSQL and cast; and the sum of what came of them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.util import Finalize

import structlog
from _payments_cast import Cast
from _payments_database import Server
from _payments_seed import Result, run_seed

from yimatong.cli.postgres import temporary_home


@dataclass
class Slice:
    """What some seeds came to; ``failed`` are those that broke an invariant."""

    seeds: int = 0
    ops: int = 0
    faults: Counter[int] = field(default_factory=Counter)
    failed: list[Result] = field(default_factory=list)

    def add(self, other: Slice) -> None:
        """Add another slice."""
        self.seeds += other.seeds
        self.ops += other.ops
        self.faults += other.faults
        self.failed += other.failed


@contextmanager
def workshop() -> Iterator[tuple[Server, Cast]]:
    """Give a database with the schema and everybody who takes part."""
    with temporary_home("ymt-drill-") as home, Server(home) as server:
        keys = home / "keys"
        keys.mkdir()
        cast = Cast(keys)
        asyncio.run(cast.enter(server))
        server.keep()
        yield server, cast


def run_slice(server: Server, cast: Cast, seeds: Iterable[int], *, deep_every: int) -> Slice:
    """Run seeds one after the other."""
    total = Slice()
    for seed in seeds:
        done = run_seed(server, cast, seed, deep=seed % deep_every == 0)
        failed = [done] if done.breaks else []
        total.add(Slice(seeds=1, ops=done.ops, faults=done.faults, failed=failed))
    return total


_own: list[tuple[Server, Cast]] = []
"""In a process of several: its workshop."""


def enter() -> None:
    """Open the workshop of a process of several; it is closed when the process ends."""
    be_silent()
    stack = ExitStack()
    _own.append(stack.enter_context(workshop()))
    Finalize(None, stack.close, exitpriority=1)


def run_alone(piece: range, deep_every: int) -> Slice:
    """Run a piece in a process of several."""
    server, cast = _own[0]
    return run_slice(server, cast, piece, deep_every=deep_every)


def be_silent() -> None:
    """Write no log lines: they are thousands, and what they say is asked of the tables."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # tasks of a process that died are nobody's news
