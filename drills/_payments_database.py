"""The real PostgreSQL behind the same methods as ``kit.db.Database``, in one thread and at once.

Every transaction of a seed is a real one, on the one connection there is; statements run at once, so whole transactions
follow each other in an order that the seed alone decides. After a seed its rows are removed by a superuser (the
append-only tables forbid it to everybody else), and numbers begin anew, so that the next seed finds what the first did.

What this leaves out, and what holds it instead: two transactions that are open at once and wait for each other's locks
(the kill drill and the tests of settling, on real connections); what a lost connection does to the driver
(``tests/kit``). Everything that changes an order locks its row for the whole transaction, so that an interleaving of
whole transactions is every interleaving there can be.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import psycopg
from _payments_batches import Raw, SeedBatch, Work
from _payments_chance import Chance
from _payments_nodes import Nodes
from _payments_statements import Direct
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Engine, Result, create_engine
from sqlalchemy.pool import StaticPool

from yimatong.cli import migrate
from yimatong.cli.postgres import DATABASE, LocalPostgres
from yimatong.kit.errors import DatabaseUnavailable

SERVER: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_compression": "off",
    "checkpoint_timeout": "1h",
    "track_counts": "off",
    "track_activities": "off",
}
_OPTIONS: Final = "-c timezone=UTC -c enable_seqscan=off -c jit=off -c plan_cache_mode=force_generic_plan"
_FILLED: Final = """
    SELECT quote_ident(relname) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0 ORDER BY relname
"""
_KEPT: Final = "payments_channel_account"
"""The table of the base whose rows a seed changes: a copy puts them back."""
_KEEP: Final = "CREATE TABLE drill_kept AS SELECT * FROM payments_channel_account"
_AS_KEPT: Final = "INSERT INTO payments_channel_account SELECT * FROM drill_kept"
_COMMIT: Final = b"COMMIT; BEGIN"
_BACK: Final = b"ROLLBACK; BEGIN"


class Statements:
    """What services receive as their connection: ``execute`` answers at once. ``wrote``: there is something to keep."""

    def __init__(self, connection: SyncConnection) -> None:
        self._connection = connection
        self._direct = Direct.of(connection)
        self.wrote = False
        self.count = 0

    async def execute(
        self, statement: Any, parameters: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    ) -> Result[Any]:
        """Run a statement."""
        self.count += 1
        short = self._direct.execute(statement, parameters)
        if short is not None:
            self.wrote = self.wrote or short[1]
            return short[0]
        found = self._connection.execute(statement, parameters)
        if not statement.is_select and found.rowcount != 0:
            self.wrote = True
        return found


class SeedDatabase:
    """``kit.db.Database`` for the tasks of one seed."""

    def __init__(self, connection: SyncConnection, nodes: Nodes, chance: Chance) -> None:
        self.statements = Statements(connection)
        self._direct = Direct.of(connection)
        self._driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        self.nodes = nodes
        self.chance = chance
        self._direct.command(b"BEGIN")
        self.open = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Statements]:
        """Open a transaction; commit when the block ends, roll back when it raises.

        Raises:
            DatabaseUnavailable: chance has the commit fail, or its answer lost. Crashed: the process died.
        """
        await self.nodes.pause(fault=11)
        self._begin()
        try:
            yield self.statements
            self.nodes.check()
            self._may_fail("lost to another transaction", 0.15)
            if self.statements.wrote:
                self._direct.command(_COMMIT)
        except BaseException:
            self._direct.command(_BACK)
            raise
        finally:
            self.open = False
            self.statements.wrote = False
        self._may_fail("the answer to the commit got lost", 0.05)
        await self.nodes.pause(fault=12)

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Statements]:
        """Open a transaction for one statement; errors as ``transaction``."""
        async with self.transaction() as statements:
            yield statements

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Statements]:
        """Read on one snapshot: nothing else runs before the block ends."""
        await self.nodes.pause()
        self._guard()
        self.open = True
        try:
            yield self.statements
        finally:
            self.open = False

    def batch(self, work: Work, **_limits: int) -> SeedBatch[Any, Any]:
        """Return a batch whose items share one transaction."""
        return SeedBatch(self, work, Raw(self._driver))

    def _may_fail(self, how: str, weight: float) -> None:
        if self.chance.strikes(22, weight):
            raise DatabaseUnavailable(audit=how)

    def _begin(self) -> None:
        self._guard()
        self.open = True

    def _guard(self) -> None:
        if self.open:
            message = "a transaction let another task run: something was awaited inside it"
            raise AssertionError(message)


def make_engine(url: str) -> Engine:
    """Return an engine with one connection, on which ``Direct`` prepares every statement."""

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        made = psycopg.connect(url, options=_OPTIONS)
        made.prepare_threshold = None  # psycopg forgets what it prepared at every rollback, which ends each seed
        return made

    return create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=StaticPool, json_deserializer=msgspec.json.decode
    )


class Server:
    """A PostgreSQL of this process with the schema, and one connection."""

    def __init__(self, home: Path) -> None:
        self._postgres = LocalPostgres(home, settings=SERVER)
        self._engine: Engine | None = None
        self._cleaner: psycopg.Connection[Any] | None = None
        self._base: set[str] = set()

    def __enter__(self) -> Self:
        self._postgres.start()
        migrate.create_directly(self._postgres.url())
        self._engine = make_engine(self._postgres.url())
        return self

    def __exit__(self, *_error: object) -> None:
        if self._engine is not None:
            self._engine.dispose()
        if self._cleaner is not None:
            self._cleaner.close()
        self._postgres.stop()

    def connect(self) -> SyncConnection:
        """Return the connection, outside any transaction."""
        if self._engine is None:
            message = "the server is not running"
            raise RuntimeError(message)
        return self._engine.connect()

    def keep(self) -> None:
        """Let what is in the tables now be there for every seed."""
        made = psycopg.connect(self._postgres.admin_url(DATABASE), autocommit=True)
        made.execute("SET session_replication_role = replica")
        made.execute(_KEEP)
        self._base = {name for (name,) in made.execute(_FILLED)}
        self._cleaner = made

    def clean(self, again: Sequence[str] = ()) -> None:
        """Remove what a seed left; ``again`` are statements that restore what it changed in the schema."""
        if self._cleaner is None:
            message = "nothing was kept"
            raise RuntimeError(message)
        filled = [name for (name,) in self._cleaner.execute(_FILLED) if name not in self._base or name == _KEPT]
        with self._cleaner.transaction():
            self._cleaner.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
            self._cleaner.execute(_AS_KEPT)
            for statement in again:
                self._cleaner.execute(statement)
