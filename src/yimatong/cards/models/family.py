"""Family members under one phone."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from yimatong.kit.db import metadata

family = Table(
    "cards_family",
    metadata,
    Column("guardian_mpi", Uuid, nullable=False),
    Column("member_mpi", Uuid, nullable=False),
    Column("relation_id", Text, nullable=False),
    Column("relation", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("consent", Text, nullable=False),
    Column("shows_until", Date),
    Column("made_by", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_by", Text),
    PrimaryKeyConstraint("guardian_mpi", "relation_id"),
    CheckConstraint("kind IN ('minor', 'adult')", name="kind"),
    CheckConstraint("guardian_mpi <> member_mpi", name="two_people"),
    Index(
        "uq_cards_family_live",
        "guardian_mpi",
        "member_mpi",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_cards_family_member", "member_mpi"),
    Index("uq_cards_family_relation", "relation_id", unique=True),
)
"""Who manages whose card. ``relation`` is what the member is to the guardian (GB/T 4761-2008, two digits); ``consent``
how the right was shown. A minor's relation shows codes up to ``shows_until``, the day of coming of age."""
