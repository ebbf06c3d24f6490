"""Tables of card accounts."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from yimatong.kit.db import metadata

account = Table(
    "cards_account",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("generation", SmallInteger, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("vuid_key_version", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("static_allowed", Boolean, nullable=False, server_default=text("true")),
    Column("alias_of", Text),
    Column("alias_on", Boolean, nullable=False, server_default=text("true")),
    Column("codes_valid_from", DateTime(timezone=True)),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("vuid", "generation"),
    CheckConstraint("state IN ('active', 'frozen', 'cancelled', 'alias')", name="state"),
    CheckConstraint("(state = 'alias') = (alias_of IS NOT NULL)", name="alias_points_on"),
    Index(
        "uq_cards_account_live_person",
        "mpi",
        unique=True,
        postgresql_where=text("state NOT IN ('cancelled', 'alias')"),
    ),
    Index("ix_cards_account_mpi", "mpi"),
    Index("uq_cards_account_live_vuid", "vuid", unique=True, postgresql_where=text("state <> 'cancelled'")),
)
"""电子健康卡账户. A person has one live account; opening one again after a cancellation is the next generation.

A VUID that the account had before (its certificate changed, or the resident had none) stays as a row of state ``alias``
that points on by ``alias_of`` to the account's VUID of today; ``alias_on`` false is a switched-off alias (lost label).
"""

account_event = Table(
    "cards_account_event",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("vuid", "event_id"),
)
"""History of every change: what, who, when."""

holder = Table(
    "cards_holder",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("real_name_level", SmallInteger, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("vuid", "holder"),
)
"""Which app or institution may show the codes of an account, and by which strength of proof it came to it."""
