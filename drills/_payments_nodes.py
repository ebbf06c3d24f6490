"""The platform's processes: two cores, two workers. Each is a group of tasks that dies together.

A crash is a ``BaseException`` thrown at the next place where a task of the process would let others run: before a
transaction begins, before its commit, after it, before a request leaves, after its answer came. What the process knew
and had not committed is gone. It is back a little later, with nothing but the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from _payments_chance import Chance
from _payments_loop import VirtualLoop


class Crashed(BaseException):
    """The process of this task is no more."""


@dataclass
class Node:
    """One process. ``life`` counts its starts; ``skew_s`` is what its clock is off by."""

    name: str
    skew_s: float = 0.0
    life: int = 0
    back_at: float = 0.0
    tasks: int = field(default=0)


_here: ContextVar[tuple[Node, int] | None] = ContextVar("node", default=None)


class Nodes:
    """The processes, and the places at which they die or let others run."""

    def __init__(self, loop: VirtualLoop, chance: Chance, names: tuple[str, ...]) -> None:
        self._loop = loop
        self._chance = chance
        self.all = [Node(name) for name in names]

    def pick(self, kind: str) -> Node | None:
        """Return a living process of a kind (``core``, ``worker``), or None."""
        living = [node for node in self.all if node.name.startswith(kind) and node.back_at <= self._loop.time()]
        return self._chance.random.choice(living) if living else None

    def now(self, node: Node) -> datetime:
        """Return the time as a process reads it."""
        return self._loop.moment() + timedelta(seconds=node.skew_s)

    def run(self, node: Node, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of a process."""
        token = _here.set((node, node.life))
        try:
            return self._loop.create_task(work)
        finally:
            _here.reset(token)

    def here(self) -> tuple[Node, int]:
        """Return the process of the task that asks, and which of its lives.

        Raises:
            Crashed: it is over.
        """
        self.check()
        found = _here.get()
        if found is None:
            message = "no process runs this"
            raise AssertionError(message)
        return found

    def crash(self, node: Node) -> None:
        """End a process; it is back within half a minute."""
        node.life += 1
        node.back_at = self._loop.time() + self._chance.random.uniform(0.5, 30)
        self._chance.note(f"{self._loop.time():.3f} crash {node.name}")

    def check(self, *, fault: int = 0) -> None:
        """Die here when the process is dead, or when ``fault`` (a crash of this kind) strikes.

        Raises:
            Crashed: it is.
        """
        here = _here.get()
        if here is None:
            return
        node, life = here
        if fault and node.life == life and self._chance.strikes(fault):
            self.crash(node)
        if node.life != life:
            raise Crashed(node.name)

    async def pause(self, *, fault: int = 0) -> None:
        """Let others run, or not, as chance has it; die as ``check`` does."""
        self.check(fault=fault)
        dice = self._chance.random.random()
        if dice < 0.25:
            await asyncio.sleep(0)
        elif dice < 0.4:
            await asyncio.sleep(0.001 + dice / 10)
        else:
            return
        self.check()
