"""What matching stands on and what it did: blocking tokens, models, rule sets, decisions, merges, rejected pairs."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.append_only import append_only
from yimatong.kit.db import metadata

block = Table(
    "empi_block",
    metadata,
    Column("token", BigInteger, nullable=False),
    Column("mpi", Uuid, nullable=False),
    PrimaryKeyConstraint("token", "mpi"),
)
"""Which persons (by the id they were entered under) share a blocking key; a key is a keyed 64-bit token."""

match_model = Table(
    "empi_match_model",
    metadata,
    Column("version", Integer, Identity(), nullable=False),
    Column("body", JSONB, nullable=False),
    Column("trained_on", JSONB, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("version"),
)
"""A trained Fellegi-Sunter model: comparisons, their m and u, the prior, frequencies. Never changed once stored."""

rule_set = Table(
    "empi_rule_set",
    metadata,
    Column("version", Integer, Identity(), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("state", Text, nullable=False, server_default="draft"),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("approval_id", Text),
    Column("activated_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("version"),
    CheckConstraint("state IN ('draft', 'proposed', 'active', 'retired')", name="state"),
    Index("uq_empi_rule_set_active", "state", unique=True, postgresql_where=text("state = 'active'")),
)
"""Thresholds, guards and survivorship over one model; one set is active."""

dry_run = Table(
    "empi_dry_run",
    metadata,
    Column("run_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("rows_done", BigInteger, nullable=False, server_default=text("0")),
    Column("rows_total", BigInteger, nullable=False, server_default=text("0")),
    Column("stage", Text, nullable=False, server_default=""),
    Column("result", JSONB),
    Column("started_by", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("run_id"),
    CheckConstraint("kind IN ('dry', 'apply')", name="kind"),
    CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'stopped')", name="state"),
)
"""A run of a rule set over everybody: ``dry`` only counts what would change, ``apply`` does it."""

decision = Table(
    "empi_decision",
    metadata,
    Column("decision_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("left_mpi", Uuid, nullable=False),
    Column("right_mpi", Uuid),
    Column("contribution_id", Text),
    Column("weight", Double),
    Column("probability", Double),
    Column("evidence", JSONB, nullable=False, server_default=text("'[]'")),
    Column("rule_version", Integer),
    Column("operator", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("decision_id"),
    CheckConstraint(
        "kind IN ('link', 'merge', 'unmerge', 'reject', 'review', 'cancel', 'restore', 'relink')", name="kind"
    ),
    CheckConstraint("method IN ('certificate', 'probability', 'steward', 'provider', 'national')", name="method"),
    Index("ix_empi_decision_left", "left_mpi", "at"),
    Index("ix_empi_decision_right", "right_mpi", "at", postgresql_where=text("right_mpi IS NOT NULL")),
)
"""Every decision about who is who, with what it stood on: weights by field, rule version, operator. For years.

``evidence`` names comparisons and levels, never values.
"""

merge = Table(
    "empi_merge",
    metadata,
    Column("merge_id", Text, nullable=False),
    Column("retired_mpi", Uuid, nullable=False),
    Column("survivor_mpi", Uuid, nullable=False),
    Column("moved", ARRAY(Uuid), nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("decision_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    Column("undo_decision_id", Text),
    PrimaryKeyConstraint("merge_id"),
    CheckConstraint("retired_mpi <> survivor_mpi", name="two_persons"),
    CheckConstraint("(undone_at IS NULL) = (undo_decision_id IS NULL)", name="undone"),
    Index("uq_empi_merge_retired", "retired_mpi", unique=True, postgresql_where=text("undone_at IS NULL")),
    Index("ix_empi_merge_survivor", "survivor_mpi"),
)
"""Who was merged into whom. ``moved``: the ids that led to the retired person and lead to the survivor since.

``before`` is the sealed state of both before the merge, to prove that an unmerge restored it.
"""

rejected_pair = Table(
    "empi_rejected_pair",
    metadata,
    Column("left_mpi", Uuid, nullable=False),
    Column("right_mpi", Uuid, nullable=False),
    Column("facts_digest", LargeBinary, nullable=False),
    Column("decision_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("lifted_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("left_mpi", "right_mpi"),
    CheckConstraint("left_mpi < right_mpi", name="sorted"),
    Index("ix_empi_rejected_pair_right", "right_mpi"),
)
"""Two persons of whom a steward said that they are not the same. ``facts_digest`` is a keyed digest of what was known
of both then: other facts bring the pair back, and say so."""

append_only(decision)
