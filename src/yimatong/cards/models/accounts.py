"""Tables of card accounts."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from yimatong.kit.append_only import append_only
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
    Column("reason", Text),
    Column("frozen_by", Text),
    Column("frozen_strength", SmallInteger),
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
    Index("ix_cards_account_valid_from", "codes_valid_from", postgresql_where=text("codes_valid_from IS NOT NULL")),
    Index("uq_cards_account_live_vuid", "vuid", unique=True, postgresql_where=text("state <> 'cancelled'")),
    Index("ix_cards_account_alias_of", "alias_of", postgresql_where=text("alias_of IS NOT NULL")),
)
"""电子健康卡账户. A person has one live account; opening one again after a cancellation is the next generation.

A VUID that the account had before (its certificate changed, or the resident had none) stays as a row of state ``alias``
that points on by ``alias_of`` to the account's VUID of today, always in one step; ``alias_on`` false is a switched-off
alias (lost label). ``reason`` is why it is frozen or cancelled; ``frozen_by`` (a holder, or ``platform``) and
``frozen_strength`` say who may release it.
"""

account_event = Table(
    "cards_account_event",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor_kind", Text),
    Column("institution_id", Text),
    Column("front_id", Text),
    Column("request_id", Text),
    Column("sealed", LargeBinary),
    PrimaryKeyConstraint("vuid", "event_id"),
)
"""History of every change: what, who, when, from where. ``sealed`` holds what was before and after, already masked.
Rows are only ever inserted."""

append_only(account_event, resealed="sealed")

account_join = Table(
    "cards_account_join",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("into_vuid", Text, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("into_mpi", Uuid, nullable=False),
    Column("state_before", Text, nullable=False),
    Column("aliases_before", ARRAY(Text), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("vuid", "at"),
)
"""An account that was found to be a second one of the same person: what a later separation needs to undo it."""

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
