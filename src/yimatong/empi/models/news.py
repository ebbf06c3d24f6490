"""What happened to persons, in order, and who wants to be told."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from yimatong.kit.db import metadata
from yimatong.kit.models import TransactionId

change = Table(
    "empi_change",
    metadata,
    Column("txid", TransactionId, nullable=False, server_default=func.pg_current_xact_id()),
    Column("id", BigInteger, Identity(), nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("other_mpi", Uuid),
    Column("domain", Text),
    Column("provider", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("txid", "id"),
    CheckConstraint(
        "kind IN ('registered', 'updated', 'merged', 'unmerged', 'cancelled', 'restored', 'linked', 'unlinked')",
        name="kind",
    ),
    Index("ix_empi_change_mpi", "mpi", "id"),
)
"""Every change of a person in the order of transactions: what subscriptions and the national exchange read.

Read it below the snapshot's horizon (``txid < pg_snapshot_xmin(pg_current_snapshot())``), so that a late commit cannot
slip behind a cursor. ``merged``: ``mpi`` was retired into ``other_mpi``; ``linked``: it got a number of ``domain``.
"""

subscription = Table(
    "empi_subscription",
    metadata,
    Column("subscription_id", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("subscriber", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("mpi", Uuid),
    Column("domain", Text),
    Column("events", ARRAY(Text), nullable=False),
    Column("payload", Text, nullable=False, server_default="native"),
    Column("url", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="active"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("held_txid", TransactionId),
    Column("held_id", BigInteger),
    Column("version", Integer, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("subscription_id"),
    CheckConstraint("subscriber IN ('caller', 'resident')", name="subscriber"),
    CheckConstraint("scope IN ('person', 'domain', 'all')", name="scope"),
    CheckConstraint("(scope = 'person') = (mpi IS NOT NULL)", name="person"),
    CheckConstraint("(scope = 'domain') = (domain IS NOT NULL)", name="domain"),
    CheckConstraint("payload IN ('native', 'fhir-json', 'fhir-xml')", name="payload"),
    CheckConstraint("state IN ('active', 'paused', 'ended')", name="state"),
    CheckConstraint("(state = 'paused') = (held_txid IS NOT NULL)", name="held"),
    CheckConstraint("(held_txid IS NULL) = (held_id IS NULL)", name="held_place"),
    Index("ix_empi_subscription_wide", "scope", postgresql_where=text("state = 'active' AND mpi IS NULL")),
    Index("ix_empi_subscription_held", "held_txid", postgresql_where=text("state = 'paused'")),
    Index("ix_empi_subscription_mpi", "mpi", postgresql_where=text("state = 'active' AND mpi IS NOT NULL")),
    Index("ix_empi_subscription_caller", "caller_id"),
)
"""订阅: who is told of which events of a person, of a domain, or of all, and where.

``resident``: an app subscribed for the resident herself, to her own record. Deliveries are signed with the caller's
secret like every webhook of the platform. ``held``: up to which change it was told when it was paused; what came since
is told when it goes on.
"""

change_cursor = Table(
    "empi_change_cursor",
    metadata,
    Column("reader", Text, nullable=False),
    Column("txid", TransactionId, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("moved_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("reader"),
)
"""How far each reader of the changes is (``events.queries``); what is behind all of them may be forgotten."""
