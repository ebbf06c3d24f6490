"""Fixtures that every test may use: a real PostgreSQL, a fresh database per module, a transaction rolled back."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
import uvicorn
from psycopg import sql

from yimatong.cli import migrate
from yimatong.cli.postgres import LocalPostgres, temporary_home
from yimatong.kit.db import Connection, Database
from yimatong.kit.listeners import listener

hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("other", deadline=None)
hypothesis.settings.load_profile("other" if os.environ.get("YMT_TEST_OTHER_EXAMPLES") else "same")
"""The same examples for every run of the same tests, so that a red run says something of the change under test."""


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _run(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder for a platform's data; pytest's own ``tmp_path`` is out of reach for the database's user."""
    with temporary_home("ymt-test-") as home:
        yield home


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The server of this session, by a role that may create databases (``YMT_TEST_DATABASE_URL`` names another)."""
    given = os.environ.get("YMT_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with temporary_home("ymt-test-") as home, LocalPostgres(home, settings={"shared_buffers": "64MB"}) as server:
        yield server.url("postgres")


@pytest.fixture(scope="session")
def database_template(postgres_url: str) -> Iterator[str]:
    """Name of a database with the newest schema; fresh databases are copies of it.

    ``YMT_TEST_SCHEMA=models`` builds it from the models instead of the migrations, while both differ.
    """
    name = f"template_{secrets.token_hex(4)}"
    _run(postgres_url, "CREATE DATABASE {} TEMPLATE template0", name)
    url = _with_database(postgres_url, name)
    if migrate.has_revisions() and os.environ.get("YMT_TEST_SCHEMA") != "models":
        migrate.upgrade(url)
    else:
        migrate.create_directly(url)
    yield name
    _drop(postgres_url, name)


def _drop(url: str, name: str) -> None:
    """Drop a database; the server's own vacuum may be at work in it, which only ends by itself."""
    for pause_s in (0.2, 0.5, 1.0, 2.0, 4.0):
        try:
            _run(url, "DROP DATABASE {} WITH (FORCE)", name)
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(pause_s)
        else:
            return
    _run(url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """URL of a database of this test module's own, with the newest schema and nothing in it."""
    name = f"test_{secrets.token_hex(4)}"
    _run(postgres_url, "CREATE DATABASE {} TEMPLATE {}", name, database_template)
    yield _with_database(postgres_url, name)
    _drop(postgres_url, name)


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    """The module's database as the platform uses it; what a test commits stays until the module ends."""
    made = Database(database_url)
    yield made
    await made.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """An open transaction that is rolled back when the test ends."""
    async with database.engine.connect() as opened:
        async with opened.begin() as transaction:
            yield opened
            await transaction.rollback()


@pytest.fixture(scope="session")
def run_async() -> Callable[[Coroutine[object, object, object]], object]:
    """Run a coroutine to its end on a loop of its own, in a thread, so that it works beside pytest's own loop."""

    def run(work: Coroutine[object, object, object]) -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result()

    return run


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Callable[[], object]], str]]:
    """Serve an application, built inside its own thread's loop, on a free loopback port; return its address."""
    running: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(build: Callable[[], object]) -> str:
        own = listener()
        servers: list[uvicorn.Server] = []

        async def main() -> None:
            config = uvicorn.Config(build(), log_level="error", timeout_graceful_shutdown=1, ws="none")
            servers.append(uvicorn.Server(config))
            await servers[0]._serve(sockets=[own])

        thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        thread.start()
        while not (servers and servers[0].started):
            assert thread.is_alive(), "the application did not start"
            time.sleep(0.01)
        running.append((servers[0], thread, own))
        return f"http://127.0.0.1:{own.getsockname()[1]}"

    yield start
    for server, thread, own in reversed(running):
        server.should_exit = True
        thread.join(timeout=20)
        own.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright's loop stays with the main thread until the session ends."""
    items.sort(key=lambda item: "browser" in item.path.parts)
