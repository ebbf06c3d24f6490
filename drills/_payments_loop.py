"""Virtual time: an event loop whose clock stands still while anything can run and then jumps to the next timer.

Hours of pauses cost nothing, and what runs next depends on nothing but the order in which it was asked for. The loop
has a self-pipe like any other and never waits on it: nothing in a simulation comes from outside.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

START: Final = datetime(2026, 3, 10, 15, 45, tzinfo=UTC)
"""A quarter to midnight in Beijing: every run crosses a business day."""


class Stalled(Exception):
    """Nothing can run any more and nothing is due: something waits for what never comes."""


class _Jump(selectors.SelectSelector):
    """A selector that never waits: it moves the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Move the clock by ``timeout``; nothing is ever ready."""
        if timeout is None:
            message = "nothing is due and nothing is ready"
            raise Stalled(message)
        if timeout > 0:
            self.time += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self._jump = _Jump()
        self._under_way: set[asyncio.Task[Any]] = set()
        super().__init__(self._jump)

    def create_task(self, coro: Any, **more: Any) -> asyncio.Task[Any]:
        """Create a task and hold it: one that waits for ever is seen, not collected as garbage now or later."""
        task = super().create_task(coro, **more)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self._jump.time

    def moment(self) -> datetime:
        """Return the virtual wall clock."""
        return START + timedelta(seconds=self._jump.time)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run ``main`` to its end, and close; tasks that are still there are cancelled."""
        try:
            self.run_until_complete(main)
            left = asyncio.all_tasks(self)
            for task in left:
                task.cancel()
            if left:
                self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            self.close()
