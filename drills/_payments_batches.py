"""``kit.db.Batch`` in simulated time: items of one process that come close together share a transaction.

What does their work is the real one, on psycopg itself inside the seed's transaction; only lanes and sockets are not.
A process that dies takes its batch along, a commit that fails fails for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar

import psycopg
from _payments_chance import Chance
from _payments_nodes import Nodes
from psycopg.rows import tuple_row

from yimatong.kit.errors import DatabaseUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Answers = Callable[[], Awaitable[Sequence[Any]]]
Work = Callable[[Any, Sequence[Any]], Awaitable[Answers]]
Waiting = list[tuple[Any, "asyncio.Future[Any]"]]


class Transactions(Protocol):
    """The database of a seed, as far as batches use it."""

    nodes: Nodes
    chance: Chance

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction; what it gives says by ``wrote`` whether there is something to keep."""


class Cursor:
    """A cursor that answers at once."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    async def execute(self, query: Any, parameters: Any = None) -> Cursor:
        """Run a statement."""
        self._cursor.execute(query, parameters)
        return self

    async def fetchone(self) -> Any:
        """Return the next row, or None."""
        return self._cursor.fetchone()

    async def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return self._cursor.fetchall()


class Raw:
    """psycopg's asynchronous connection, as far as batches use it."""

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self._driver = driver

    def cursor(self, *, row_factory: Any = tuple_row) -> Cursor:
        """Return a cursor."""
        return Cursor(self._driver.cursor(row_factory=row_factory))

    async def execute(self, query: Any, parameters: Any = None) -> Cursor:
        """Run a statement on a cursor of its own."""
        return await self.cursor().execute(query, parameters)


class SeedBatch(Generic[Item, Result]):
    """A batch of each process; ``window_s``: so long items gather at most, in virtual seconds."""

    def __init__(self, db: Transactions, work: Work, raw: Raw, *, window_s: float = 1.5) -> None:
        self._db = db
        self._work = work
        self._raw = raw
        self._window_s = window_s
        self._waiting: dict[tuple[str, int], Waiting] = {}

    async def submit(self, item: Item) -> Result:
        """Add one item and wait for its own result.

        Raises:
            DatabaseUnavailable: the shared transaction could not be finished. Crashed: the process died.
        """
        node, life = self._db.nodes.here()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((node.name, life), [])
        waiting.append((item, future))
        if len(waiting) == 1:
            self._db.nodes.run(node, self._run((node.name, life))).add_done_callback(_seen)
        result: Result = await future
        return result

    async def tried(self, item: Item) -> Result | None:
        """Do as ``submit``; None where the batch broke: the item is to be done alone."""
        try:
            return await self.submit(item)
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001 -- as the real one: which item it was shows when each is alone
            return None

    async def _run(self, key: tuple[str, int]) -> None:
        await asyncio.sleep(self._db.chance.random.uniform(0, self._window_s))
        taken = [each for each in self._waiting.pop(key) if not each[1].done()]  # the others were given up
        if not taken:
            return
        try:
            async with self._db.transaction() as statements:
                statements.wrote = True
                answers = await self._work(self._raw, [item for item, _ in taken])
            results = await answers()
        except BaseException as error:  # noqa: BLE001 -- a crash too: whoever waits in this process is told
            results = [error] * len(taken)
        for (_, future), result in zip(taken, results, strict=True):
            if future.done():
                continue  # given up meanwhile: whoever shares the batch is answered all the same
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


def _seen(task: asyncio.Task[Any]) -> None:
    task.exception()
