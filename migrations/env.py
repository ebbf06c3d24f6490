"""Alembic's environment: run by ``ymt migrate``, which hands the database's URL over."""

from __future__ import annotations

from alembic import context

from yimatong.cli.migrate import engine, import_models
from yimatong.kit.db import metadata
from yimatong.kit.models import TransactionId

import_models()


def include_name(name, kind, _parents):
    """Leave the job queue's tables to the job queue."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate"))


def render_item(kind, item, autogen_context):
    """Write a column type of our own with the import that it needs."""
    module = type(item).__module__
    if kind == "type" and module.startswith("yimatong."):
        autogen_context.imports.add(f"import {module}")
    return False


made = engine(context.config.attributes["url"])
with made.connect() as connection:
    connection.dialect.ischema_names["xid8"] = TransactionId
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=include_name,
        render_item=render_item,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
made.dispose()
