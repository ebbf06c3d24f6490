"""The migrations: one head, and a migrated database is what the models say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Text, text

from yimatong.cli import migrate
from yimatong.kit.db import metadata
from yimatong.kit.models import TransactionId

migrate.import_models()


@pytest.fixture(scope="module")
def migrated(database_url: str) -> Iterator[Connection]:
    engine = migrate.engine(database_url)
    with engine.connect() as opened:
        opened.dialect.ischema_names["xid8"] = TransactionId
        yield opened
    engine.dispose()


def differences(connection: Connection) -> list[object]:
    partitions = set(connection.execute(text("SELECT relname FROM pg_class WHERE relispartition")).scalars())

    def ours(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
        return not (kind == "table" and ((name or "").startswith(("procrastinate", "alembic")) or name in partitions))

    options = {"compare_type": True, "compare_server_default": True, "include_object": ours}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def constraints(connection: Connection) -> set[tuple[str, str]]:
    """Return the check constraints of the database, which Alembic does not compare."""
    rows = connection.execute(
        text(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace "
            "WHERE contype = 'c' AND nspname = 'public' AND conrelid::regclass::text NOT LIKE 'procrastinate%' "
            "AND conrelid NOT IN (SELECT inhrelid FROM pg_inherits)"
        )
    )
    return {(row[0], row[1]) for row in rows}


def modelled_constraints() -> set[tuple[str, str]]:
    found = set()
    for table in metadata.tables.values():
        for constraint in table.constraints:
            if constraint.__visit_name__ in ("check_constraint", "table_or_column_check_constraint"):
                name = str(constraint.name)
                found.add((table.name, name if name.startswith("ck_") else f"ck_{table.name}_{name}"))
    return found


def triggers(connection: Connection) -> set[str]:
    return set(connection.execute(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).scalars())


def test_one_head() -> None:
    assert len(ScriptDirectory.from_config(migrate.configuration()).get_heads()) == 1


def test_migrated_database_is_what_the_models_say(migrated: Connection) -> None:
    assert differences(migrated) == []
    assert constraints(migrated) == modelled_constraints()


def test_every_trigger_of_the_models_is_there(migrated: Connection) -> None:
    named = {line.split("TRIGGER ")[1].split()[0] for line in metadata.info["triggers"] if "TRIGGER " in line}
    named -= {name for name in named if name.endswith("()")}
    assert named <= triggers(migrated)
    assert named


def test_partitioned_tables_are_cut_as_the_models_say(migrated: Connection) -> None:
    said = {
        (name, str(table.dialect_options["postgresql"]["partition_by"]))
        for name, table in metadata.tables.items()
        if table.dialect_options["postgresql"].get("partition_by")
    }
    rows = migrated.execute(
        text("SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid) FROM pg_partitioned_table")
    )
    assert {(row[0], row[1]) for row in rows} == said
    assert said


def test_a_difference_is_found(migrated: Connection) -> None:
    with migrated.begin_nested() as planted:
        migrated.execute(text("ALTER TABLE kit_outbox DROP COLUMN last_error"))
        migrated.execute(text("ALTER TABLE access_operator DROP CONSTRAINT ck_access_operator_three_roles_apart"))
        assert differences(migrated)
        assert constraints(migrated) != modelled_constraints()
        planted.rollback()
    assert differences(migrated) == []


MEASURED = frozenset({"weight", "probability"})
"""What a model computes; a float is what it is."""

ROOMS = ("access", "cards", "care", "empi", "kit", "payments", "reconciliation")


def table_faults(name: str, columns: list[Column[object]]) -> list[str]:
    """Return what is wrong with a table: its name, naive times, money that is not whole, a missing key."""
    found = [] if name.split("_", maxsplit=1)[0] in ROOMS else [f"{name} belongs to no room"]
    for column in columns:
        shown = str(column.type)
        if shown.startswith("DATETIME") and not getattr(column.type, "timezone", False):
            found.append(f"{name}.{column.name} is a naive time")
        if column.name.endswith("_fen") and shown not in ("BIGINT", "NUMERIC(38, 0)"):
            found.append(f"{name}.{column.name} is {shown}")
        if shown.startswith(("FLOAT", "REAL", "DOUBLE")) and column.name not in MEASURED:
            found.append(f"{name}.{column.name} is a float")
    return found if any(column.primary_key for column in columns) else [*found, f"{name} has no key"]


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_table_is_sound(name: str) -> None:
    assert table_faults(name, list(metadata.tables[name].columns)) == []


def test_planted_table_faults_are_found() -> None:
    from sqlalchemy import DateTime, Float, Integer

    planted = [Column("at", DateTime()), Column("paid_fen", Integer), Column("rate", Float), Column("name", Text)]
    assert len(table_faults("helpers_thing", planted)) == 5
