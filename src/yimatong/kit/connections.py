"""Connections that are kept open, and the short way of a statement that is a constant text.

SQLAlchemy's pool and its asyncio layer cost several times what a short transaction costs psycopg itself. So connections
stay open here, a transaction ends by psycopg's own commit, and a ``text()`` goes to psycopg at once; an expression goes
the usual way, in the same transaction on the same connection. Both answer with SQLAlchemy's results and errors.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import lru_cache
from typing import Any, Final, Protocol, cast

import psycopg
from psycopg import IsolationLevel
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from yimatong.kit.errors import DatabaseUnavailable

Driver = psycopg.AsyncConnection[tuple[object, ...]]
_WAIT_S: Final = 10.0
_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


class TextResult(IteratorResult[Any]):
    """The rows of a text, as SQLAlchemy's results are used; ``rowcount`` as psycopg says it."""

    rowcount = -1


class ShortConnection(AsyncConnection):
    """An open connection; ``driver`` is psycopg itself, where ``Kept`` lent it: others go the usual way."""

    driver: Driver

    async def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Run a statement; a text without typed parameters goes to psycopg at once.

        Raises:
            sqlalchemy.exc.DBAPIError: the database declined, or is away.
        """
        query = _query(statement) if type(statement) is TextClause and execution_options is None else None
        if query is None or not hasattr(self, "driver") or isinstance(parameters, Sequence):
            return await super().execute(statement, parameters, execution_options=execution_options)
        try:
            cursor = await self.driver.execute(cast("Any", query), parameters or {})
            found = cursor.pgresult
            fields = found.nfields if found is not None else 0
            rows = await cursor.fetchall() if fields else []
        except psycopg.Error as error:
            raise _wrapped(query, error) from error
        names = tuple(found.fname(at) for at in range(fields)) if found is not None else ()
        result = TextResult(_metadata(names), iter(rows))
        result.rowcount = cursor.rowcount
        return result


def _wrapped(query: str, error: psycopg.Error) -> Exception:
    """Return psycopg's error as everybody catches it."""
    return DBAPIError.instance(query, None, error, psycopg.Error, hide_parameters=True, dialect=_DIALECT)


@lru_cache(maxsize=2000)
def _query(statement: TextClause) -> str | None:
    """Return psycopg's form of a text; None where it says more than its words (values or types of parameters)."""
    parameters = statement._bindparams.values()  # noqa: SLF001 -- there is no public way to see them
    if all(each.required and not each.expanding and each.type._isnull for each in parameters):  # noqa: SLF001 -- the same
        return _rendered(statement.text)
    return None


@lru_cache(maxsize=2000)
def _rendered(words: str) -> str:
    return str(TextClause(words).compile(dialect=_DIALECT))


@lru_cache(maxsize=2000)
def _metadata(names: tuple[bytes | None, ...]) -> SimpleResultMetaData:
    return SimpleResultMetaData([(name or b"").decode() for name in names])


class Kind(Protocol):
    """Makes a connection's transactions of a kind, or of the usual one again; nothing is sent for it."""

    async def __call__(self, driver: Driver, *, on: bool) -> None:
        """Say what the transactions are from now on."""
        ...


class Kept:
    """Connections of one engine that are kept open; at most ``size``. Whoever finds none free waits ten seconds."""

    def __init__(self, engine: AsyncEngine, *, size: int) -> None:
        """Open nothing before the first use."""
        self._engine = engine
        self._free = asyncio.Semaphore(size)
        self._idle: deque[ShortConnection] = deque()

    def transaction(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection; commit when the block ends, roll back when it raises. ``snapshot``: read only, on one.

        Raises:
            DatabaseUnavailable: no connection became free.
        """
        return self._lend(_set_snapshot if snapshot else None)

    def single(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection on which each statement is a transaction of its own; errors as ``transaction``."""
        return self._lend(_set_autocommit)

    @asynccontextmanager
    async def _lend(self, kind: Kind | None) -> AsyncIterator[AsyncConnection]:
        await self._turn()
        try:
            connection = await self._take()
            try:
                if kind is not None:
                    await kind(connection.driver, on=True)
                yield connection
                await self._end(connection, commit=True)
                if kind is not None:
                    await kind(connection.driver, on=False)
            except BaseException as error:
                await self._fail(connection, kind, keep=isinstance(error, Exception))
                raise
            self._idle.append(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().close()

    async def _turn(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._free.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable(audit="no connection became free") from error

    async def _take(self) -> ShortConnection:
        while self._idle:
            connection = self._idle.pop()
            if _living(connection.driver):
                return connection
            await connection.close()
        made = cast("ShortConnection", await self._engine.connect())
        raw = await made.get_raw_connection()
        made.driver = cast("Driver", raw.driver_connection)
        return made

    async def _end(self, connection: ShortConnection, *, commit: bool) -> None:
        """End the transaction: by SQLAlchemy where it took part in it, else by psycopg alone."""
        if connection.in_transaction():
            await (connection.commit() if commit else connection.rollback())
            return
        try:
            await (connection.driver.commit() if commit else connection.driver.rollback())
        except psycopg.Error as error:
            raise _wrapped("COMMIT" if commit else "ROLLBACK", error) from error

    async def _fail(self, connection: ShortConnection, kind: Kind | None, *, keep: bool) -> None:
        """Roll back; a connection that broke, or whose task was cancelled in the middle of something, is closed."""
        if keep and not connection.driver.closed and not connection.invalidated:
            with suppress(DBAPIError, psycopg.Error):  # it broke meanwhile; the caller raises what ended the block
                await self._end(connection, commit=False)
                if kind is not None:
                    await kind(connection.driver, on=False)
                self._idle.append(connection)
                return
        connection.driver.pgconn.finish()
        await asyncio.shield(asyncio.ensure_future(connection.close()))


async def _set_autocommit(driver: Driver, *, on: bool) -> None:
    await driver.set_autocommit(on)


async def _set_snapshot(driver: Driver, *, on: bool) -> None:
    """Say in BEGIN itself what the transaction is; nothing is sent for it."""
    await driver.set_isolation_level(IsolationLevel.REPEATABLE_READ if on else None)
    await driver.set_read_only(True if on else None)


def _living(driver: Driver) -> bool:
    """Say whether an idle connection's server has not hung up, without asking it, which is a round trip each time.

    Nothing arrives on an idle connection but the news of its end (or of a setting that was reloaded, which costs a new
    connection). What breaks later than this look is answered as it is: ``DatabaseUnavailable``.
    """
    return not driver.closed and not _something_arrived(driver.pgconn.socket)


def _something_arrived(socket: int) -> bool:
    if not hasattr(select, "poll"):  # Windows, where ``select`` takes any socket
        return bool(select.select([socket], [], [], 0)[0])
    look = select.poll()
    look.register(socket, select.POLLIN)
    return bool(look.poll(0))


class ShortEngine(AsyncEngine):
    """Opens connections of the short way."""

    _connection_cls = ShortConnection
