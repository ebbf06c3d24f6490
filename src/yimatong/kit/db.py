"""PostgreSQL, and the only place that commits.

``Database.transaction()`` is one request, one transaction, on SQLAlchemy Core. ``Database.batch()`` lets concurrent
requests share a round trip and a commit, on psycopg directly. Both answer a lost database with ``DatabaseUnavailable``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from yimatong.kit.errors import DatabaseUnavailable

Connection = AsyncConnection
"""What services and queries receive: an open transaction on SQLAlchemy Core."""

RawConnection = psycopg.AsyncConnection[tuple[object, ...]]
"""What a coalesced batch receives: psycopg itself, inside its transaction."""

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

_LOST = (psycopg.OperationalError, PoolTimeout, ConnectionError)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Database:
    """A pool of connections to one database, given as a libpq URL."""

    def __init__(self, url: str, *, size: int = 10) -> None:
        """Prepare the pools; nothing is connected before the first use."""
        self._url = url

        async def connect() -> psycopg.AsyncConnection[tuple[object, ...]]:
            return await psycopg.AsyncConnection.connect(url, options=_OPTIONS, autocommit=False)

        self.engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect,
            pool_size=size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
        )
        self._raw: AsyncConnectionPool[RawConnection] | None = None
        self._batches: list[Batch[object, object]] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction; commit when the block ends, roll back when it raises.

        Raises:
            DatabaseUnavailable: the database is away. When it went away during the commit the outcome is open, which
                is why every write carries an idempotency key.
        """
        try:
            async with self.engine.connect() as connection:
                async with connection.begin():
                    yield connection
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, _LOST):
                raise DatabaseUnavailable(audit=repr(error.orig)) from error
            raise
        except _LOST as error:
            raise DatabaseUnavailable(audit=repr(error)) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """Open a read-only transaction on one snapshot."""
        async with self.transaction() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield connection

    def batch(
        self,
        work: Callable[[RawConnection, Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        items_max: int = 64,
        lanes: int = 2,
    ) -> Batch[Item, Result]:
        """Return a batch whose items share one transaction; see ``Batch``."""
        made: Batch[Item, Result] = Batch(self._raw_connection, work, items_max=items_max, lanes=lanes)
        self._batches.append(made)  # type: ignore[arg-type]  # kept only to be closed
        return made

    @asynccontextmanager
    async def _raw_connection(self) -> AsyncIterator[RawConnection]:
        if self._raw is None:
            self._raw = AsyncConnectionPool(
                self._url, kwargs={"options": _OPTIONS}, min_size=1, max_size=8, open=False, timeout=10
            )
            await self._raw.open()
        async with self._raw.connection() as connection:
            yield connection

    async def close(self) -> None:
        """Stop the batches and close every connection."""
        for batch in self._batches:
            await batch.close()
        if self._raw is not None:
            await self._raw.close()
        await self.engine.dispose()


class Batch(Generic[Item, Result]):
    """Concurrent items share a round trip and a commit; each is answered after the commit.

    While a transaction is under way the next items gather; a lane takes up to ``items_max`` of them as soon as it is
    free, so a lone item never waits and a crowd pays for one commit. ``work`` returns one result or exception per
    item: a bad item never fails its neighbours. When the transaction itself fails, every item of it is told so.
    """

    def __init__(
        self,
        connection: Callable[[], object],
        work: Callable[[RawConnection, Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        items_max: int,
        lanes: int,
    ) -> None:
        """Keep the work; lanes start with the first item."""
        self._connection = connection
        self._work = work
        self._items_max = items_max
        self._lanes = lanes
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """Add one item and wait for its own result, durable when it arrives.

        Raises:
            DatabaseUnavailable: the shared transaction could not be finished.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._running) < self._lanes:
            task = asyncio.create_task(self._lane())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def close(self) -> None:
        """Let the lanes finish what was submitted."""
        while self._running:
            await asyncio.gather(*self._running)

    async def _lane(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[: self._items_max], self._waiting[self._items_max :]
            try:
                results = await self._run([item for item, _ in taken])
            except Exception as error:  # noqa: BLE001 -- whatever ended the transaction, each waiting caller is told
                results = [error] * len(taken)
            for (_, future), result in zip(taken, results, strict=True):
                if future.cancelled():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _run(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            async with self._connection() as connection:  # type: ignore[attr-defined]  # an async context manager
                async with connection.transaction():
                    return await self._work(connection, items)
        except _LOST as error:
            raise DatabaseUnavailable(audit=repr(error)) from error
