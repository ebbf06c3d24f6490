"""PostgreSQL, and the only place that commits.

``Database.transaction()`` is one request, one transaction, on SQLAlchemy Core. ``Database.batch()`` lets concurrent
requests share a round trip and a commit, on psycopg directly. Both answer a lost database with ``DatabaseUnavailable``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar, cast

import msgspec
import psycopg
from psycopg.types.json import set_json_loads
from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from yimatong.kit.connections import Kept, ShortEngine
from yimatong.kit.errors import DatabaseUnavailable

Connection = AsyncConnection
"""What services and queries receive: an open transaction on SQLAlchemy Core."""

RawConnection = psycopg.AsyncConnection[tuple[object, ...]]
"""What a coalesced batch receives: psycopg itself, inside its transaction."""


async def raw(connection: Connection) -> RawConnection:
    """Return psycopg itself inside the same open transaction: what verbs for many rows run on."""
    return cast("RawConnection", (await connection.get_raw_connection()).driver_connection)


def lost_to_another(error: BaseException) -> bool:
    """Say whether the database ended a transaction in favour of another one (class 40: deadlock, serialisation).

    Nothing of it was stored, and it may be done again at once.
    """
    return (sqlstate(error) or "").startswith("40")


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE behind an error, five characters; None when the server said none."""
    seen: BaseException | None = error
    while seen is not None:
        cause = seen.orig if isinstance(seen, DBAPIError) else seen
        if isinstance(cause, psycopg.Error) and cause.sqlstate:
            return cause.sqlstate
        seen = seen.__cause__
    return None


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of every room; its name begins with its room's name."""

_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
)

_BATCH_OPTIONS = " -c enable_seqscan=off -c jit=off"
"""A batch's statements are prepared once and look rows up by key: a plan made while a table was empty must not stay."""

set_json_loads(msgspec.json.decode)
"""PostgreSQL's JSON is read by the same library as everybody else's; several times as fast as Python's own."""

_LOST = (psycopg.OperationalError, ConnectionError)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Database:
    """A pool of connections to one database, given as a libpq URL."""

    def __init__(self, url: str, *, size: int = 10) -> None:
        """Prepare the pools; nothing is connected before the first use."""
        self._url = url

        async def connect() -> psycopg.AsyncConnection[tuple[object, ...]]:
            return await psycopg.AsyncConnection.connect(url, options=_OPTIONS, autocommit=False)

        made = create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect,
            poolclass=NullPool,
            pool_reset_on_return=None,
            hide_parameters=True,  # the text of an error goes to the log; a statement's values are people's
        )
        self.engine = ShortEngine(made.sync_engine)
        self._kept = Kept(self.engine, size=size)
        self._batches: list[Batch[Any, Any]] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction; commit when the block ends, roll back when it raises.

        Raises:
            DatabaseUnavailable: the database is away. When it went away during the commit the outcome is open, which
                is why every write carries an idempotency key.
        """
        async with self._open(self._kept.transaction()) as connection:
            yield connection

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Connection]:
        """Lend a connection for one statement, which is a transaction of its own and a third of its round trips.

        Raises:
            DatabaseUnavailable: as ``transaction``.
        """
        async with self._open(self._kept.single()) as connection:
            yield connection

    @asynccontextmanager
    async def _open(self, lent: AbstractAsyncContextManager[Connection]) -> AsyncIterator[Connection]:
        try:
            async with lent as connection:
                yield connection
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, _LOST):
                raise DatabaseUnavailable(audit=repr(error.orig)) from error
            raise
        except _LOST as error:
            raise DatabaseUnavailable(audit=repr(error)) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """Open a read-only transaction on one snapshot; BEGIN itself says so, which spares a round trip."""
        async with self._open(self._kept.transaction(snapshot=True)) as connection:
            yield connection

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Be the only one of all processes inside a block of this name; yields whether that is so, and never waits.

        It is a lock of the session on a connection of its own, with no transaction open: outside parties may be
        called inside, and when the process dies the lock is gone.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._url, options=_OPTIONS, autocommit=True, connect_timeout=5
            )
        except _LOST as error:
            raise DatabaseUnavailable(audit=repr(error)) from error
        try:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,))
            mine = (await cursor.fetchone()) == (True,)
            yield mine
            if mine:  # a server notices a hung-up connection a moment later; who comes next must not meet it
                await connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))
        finally:
            await connection.close()

    def batch(self, work: Work[Item, Result], *, items_max: int = 64, lanes: int = 2) -> Batch[Item, Result]:
        """Return a batch whose items share one transaction; see ``Batch``."""
        made: Batch[Item, Result] = Batch(self._connect_raw, work, items_max=items_max, lanes=lanes)
        self._batches.append(made)
        return made

    async def _connect_raw(self) -> RawConnection:
        return await psycopg.AsyncConnection.connect(
            self._url, options=_OPTIONS + _BATCH_OPTIONS, prepare_threshold=0, connect_timeout=5
        )

    async def close(self) -> None:
        """Stop the batches and close every connection."""
        for batch in self._batches:
            await batch.close()
        await self._kept.close()
        await self.engine.dispose()


Answers = Callable[[], Awaitable[Sequence[Result | Exception]]]
"""Makes the answers of a batch, one for each item, once its transaction is committed."""

Work = Callable[[RawConnection, Sequence[Item]], Awaitable[Answers[Result]]]
"""Does a batch's statements in its transaction and returns what makes the answers."""


class Batch(Generic[Item, Result]):
    """Concurrent items share round trips and a commit; each is answered after the commit.

    While a transaction is under way the next items gather; a lane takes up to ``items_max`` of them as soon as it is
    free, so a lone item never waits and a crowd pays for one commit. The statements run in one pipeline with BEGIN and
    COMMIT, so a batch costs as many round trips as ``work`` reads results. A bad item never fails its neighbours: its
    answer is an exception. When the transaction itself fails, every item of it is told so.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[RawConnection]],
        work: Work[Item, Result],
        *,
        items_max: int,
        lanes: int,
    ) -> None:
        """Keep the work; lanes start with the first item and keep their connections."""
        self._connect = connect
        self._work = work
        self._items_max = items_max
        self._lanes = lanes
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._idle: list[RawConnection] = []

    async def submit(self, item: Item) -> Result:
        """Add one item and wait for its own result, durable when it arrives.

        Raises:
            DatabaseUnavailable: the shared transaction could not be finished.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._running) < self._lanes:
            self._running.add(asyncio.create_task(self._lane()))
        return await future

    async def tried(self, item: Item) -> Result | None:
        """Do as ``submit``; None where the batch broke: the item is to be done alone, where it says what is wrong.

        Raises:
            DatabaseUnavailable: the outcome is open.
        """
        try:
            return await self.submit(item)
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001 -- one item broke the transaction of all; which one shows when each is alone
            return None

    async def close(self) -> None:
        """Let the lanes finish what was submitted, and close their connections."""
        while self._running:
            await asyncio.gather(*self._running)
        while self._idle:
            await self._idle.pop().close()

    async def _lane(self) -> None:
        """Run batches while anything waits; the lane is given back in the same step that saw nothing waiting."""
        try:
            while self._waiting:
                await self._next_batch()
        finally:
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _next_batch(self) -> None:
        first = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._items_max))]
        taken = [(item, future) for item, future in first if not future.done()]  # nobody waits for the others any more
        if not taken:
            return
        results: Sequence[Result | Exception]
        try:
            results = await self._run([item for item, _ in taken])
        except Exception as error:  # noqa: BLE001 -- whatever ended the transaction, each waiting caller is told
            results = [error] * len(taken)
        for (_, future), result in zip(taken, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _run(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            answers = await self._commit(items)
        except _LOST as error:
            raise DatabaseUnavailable(audit=repr(error)) from error
        results = await answers()
        if len(results) != len(items):
            message = f"{len(results)} answers for {len(items)} items"
            raise RuntimeError(message)
        return results

    async def _commit(self, items: Sequence[Item]) -> Answers[Result]:
        """Run the work in one transaction, on a connection that is kept unless it broke."""
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            async with connection.pipeline():
                answers = await self._work(connection, items)
                await connection.commit()
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)
        return answers
