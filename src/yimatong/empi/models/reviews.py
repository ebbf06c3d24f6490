"""The steward's queue: pairs that a person must judge, every step taken, and double checks."""

from __future__ import annotations

from sqlalchemy import (
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
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata

review = Table(
    "empi_review",
    metadata,
    Column("review_id", Text, nullable=False),
    Column("left_mpi", Uuid, nullable=False),
    Column("right_mpi", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("weight", Double),
    Column("probability", Double),
    Column("evidence", JSONB, nullable=False, server_default=text("'[]'")),
    Column("rule_version", Integer),
    Column("risk", SmallInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("because", Text, nullable=False, server_default=""),
    Column("institution_id", Text),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("assignee", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Text),
    Column("decision_id", Text),
    PrimaryKeyConstraint("review_id"),
    CheckConstraint("left_mpi < right_mpi", name="sorted"),
    CheckConstraint(
        "kind IN ('certificate_conflict', 'probable', 'cluster_conflict', 'facts_changed', 'national')", name="kind"
    ),
    CheckConstraint("state IN ('open', 'asked', 'later', 'merged', 'rejected', 'void')", name="state"),
    CheckConstraint("(state IN ('merged', 'rejected', 'void')) = (decided_at IS NOT NULL)", name="decided"),
    CheckConstraint("risk BETWEEN 0 AND 100", name="risk"),
    Index(
        "uq_empi_review_waiting",
        "left_mpi",
        "right_mpi",
        unique=True,
        postgresql_where=text("state IN ('open', 'asked', 'later')"),
    ),
    Index("ix_empi_review_right", "right_mpi"),
    Index("ix_empi_review_queue", "risk", "opened_at", postgresql_where=text("state IN ('open', 'asked', 'later')")),
    Index("ix_empi_review_decided", "decided_at", postgresql_where=text("decided_at IS NOT NULL")),
)
"""A pair that waits for a steward; of one pair at most one waits. ``risk`` 0 to 100: what a wrong answer would cost.

``later`` and ``asked`` come back by themselves at ``due_at``. ``void``: the question vanished (one of both was
cancelled or merged meanwhile).
"""

review_step = Table(
    "empi_review_step",
    metadata,
    Column("review_id", Text, nullable=False),
    Column("id", BigInteger, Identity(), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("note_sealed", LargeBinary),
    PrimaryKeyConstraint("review_id", "id"),
    CheckConstraint(
        "what IN ('opened', 'asked', 'answered', 'later', 'merged', 'rejected', 'undone', 'void', 'noted', 'taken')",
        name="what",
    ),
)
"""Everything that happened to a review. Notes are sealed: stewards write names."""

double_check = Table(
    "empi_double_check",
    metadata,
    Column("review_id", Text, nullable=False),
    Column("first_operator", Text, nullable=False),
    Column("first_outcome", Text, nullable=False),
    Column("second_operator", Text),
    Column("second_outcome", Text),
    Column("drawn_at", DateTime(timezone=True), nullable=False),
    Column("checked_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("review_id"),
    CheckConstraint("second_operator IS NULL OR second_operator <> first_operator", name="two_persons"),
    CheckConstraint("first_outcome IN ('merged', 'rejected')", name="first_outcome"),
    CheckConstraint("second_outcome IN ('merged', 'rejected', 'unsure')", name="second_outcome"),
    CheckConstraint("(second_operator IS NULL) = (checked_at IS NULL)", name="checked"),
)
"""A drawn share of decided reviews, judged again by somebody else who does not see the first answer."""
