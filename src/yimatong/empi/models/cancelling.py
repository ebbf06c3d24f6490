"""Cancellations: who was cancelled why, and exactly what ended with it."""

from __future__ import annotations

from sqlalchemy import ARRAY, CheckConstraint, Column, Date, DateTime, Index, PrimaryKeyConstraint, Table, Text, Uuid
from sqlalchemy import text as sql

from yimatong.kit.db import metadata

cancellation = Table(
    "empi_cancellation",
    metadata,
    Column("cancellation_id", Text, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("extent", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("died_on", Date),
    Column("provider", Text, nullable=False),
    Column("decision_id", Text, nullable=False),
    Column("relations", ARRAY(Text), nullable=False),
    Column("contributions", ARRAY(Text), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    Column("undo_decision_id", Text),
    PrimaryKeyConstraint("cancellation_id"),
    CheckConstraint("extent IN ('person', 'record')", name="extent"),
    CheckConstraint("reason IN ('death', 'error', 'duplicate', 'other')", name="reason"),
    CheckConstraint("(died_on IS NOT NULL) = (reason = 'death')", name="died"),
    CheckConstraint("(undone_at IS NULL) = (undo_decision_id IS NULL)", name="undone"),
    Index(
        "uq_empi_cancellation_person",
        "mpi",
        unique=True,
        postgresql_where=sql("undone_at IS NULL AND extent = 'person'"),
    ),
    Index("ix_empi_cancellation_mpi", "mpi"),
)
"""``person``: the person was cancelled; ``record``: what one provider says of her. ``relations`` and ``contributions``
are the rows that ended with it: restoring brings back exactly those."""
