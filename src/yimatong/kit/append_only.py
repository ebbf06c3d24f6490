"""Tables that are only ever inserted into, held so by the database itself.

The application's own role cannot change, remove or truncate a row: a trigger refuses it. Who owns the tables can take
the trigger off; that is what the seals of the audit are for.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import DDL, Table, event

from yimatong.kit.db import metadata

_FUNCTION: Final = """
    CREATE OR REPLACE FUNCTION kit_only_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is only ever inserted into', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
"""


_RESEALED: Final = """
    CREATE OR REPLACE FUNCTION kit_only_resealed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - TG_ARGV[0] = to_jsonb(OLD) - TG_ARGV[0]
            AND (to_jsonb(NEW) -> TG_ARGV[0] = 'null') = (to_jsonb(OLD) -> TG_ARGV[0] = 'null') THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '% is only ever inserted into', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
"""


def append_only(table: Table, *, resealed: str = "") -> None:
    """Refuse UPDATE, DELETE and TRUNCATE of a table for every role.

    ``resealed`` names a column of sealed blobs that may be sealed anew after a rotation, alone: what it says cannot be
    changed without the key, and the rest of the row cannot be changed at all.
    """
    add_triggers(
        table,
        _RESEALED if resealed else _FUNCTION,
        *((_FUNCTION,) if resealed else ()),
        f"""
    CREATE OR REPLACE TRIGGER {table.name}_only_inserted BEFORE UPDATE OR DELETE ON {table.name}
    FOR EACH ROW EXECUTE FUNCTION {f"kit_only_resealed('{resealed}')" if resealed else "kit_only_inserted()"}
    """,
        f"""
    CREATE OR REPLACE TRIGGER {table.name}_never_emptied BEFORE TRUNCATE ON {table.name}
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted()
    """,
    )


def add_triggers(table: Table, *statements: str) -> None:
    """Run statements after a table was created, and have the baseline migration run them after all tables."""
    known: list[str] = metadata.info.setdefault("triggers", [])
    for statement in statements:
        if statement not in known:
            known.append(statement)
        event.listen(
            table,
            "after_create",
            DDL(statement.replace("%", "%%")),  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
        )
