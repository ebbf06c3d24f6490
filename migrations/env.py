"""Alembic's environment: run by ``ymt migrate``, which hands the database's URL over."""

from __future__ import annotations

from alembic import context

from yimatong.cli.migrate import engine, import_models
from yimatong.kit.db import metadata

import_models()


def include_name(name, kind, _parents):
    """Leave the job queue's tables to the job queue."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate"))


made = engine(context.config.attributes["url"])
with made.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
made.dispose()
