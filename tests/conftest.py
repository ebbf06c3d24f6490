"""Fixtures that every test may use: a real PostgreSQL, a fresh database per module, a transaction rolled back."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from yimatong.cli import migrate
from yimatong.cli.postgres import LocalPostgres, temporary_home
from yimatong.kit.db import Connection, Database


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
    _run(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """URL of a database of this test module's own, with the newest schema and nothing in it."""
    name = f"test_{secrets.token_hex(4)}"
    _run(postgres_url, "CREATE DATABASE {} TEMPLATE {}", name, database_template)
    yield _with_database(postgres_url, name)
    _run(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


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
