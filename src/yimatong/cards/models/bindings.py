"""Bank cards and insurance cards bound to an account."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

from yimatong.kit.db import metadata

binding = Table(
    "cards_binding",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("binding_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("pending", Text),
    Column("ask_at", DateTime(timezone=True)),
    Column("asked", SmallInteger, nullable=False, server_default=text("0")),
    Column("reason", Text),
    Column("number_blind", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("tail", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("card_kind", Text, nullable=False),
    Column("place", Text, nullable=False, server_default=""),
    Column("challenge", Text),
    Column("sent_to", Text, nullable=False, server_default=""),
    Column("tries_left", SmallInteger),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_answer", Text),
    Column("agreement", LargeBinary),
    Column("is_default", Boolean, nullable=False, server_default=text("false")),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("vuid", "binding_id"),
    CheckConstraint("kind IN ('bank_card', 'social_card', 'cooperative_card')", name="kind"),
    CheckConstraint("state IN ('started', 'confirmed', 'failed', 'expired', 'ended')", name="state"),
    CheckConstraint("pending IN ('open', 'confirm', 'end')", name="pending"),
    CheckConstraint("(pending IS NULL) = (ask_at IS NULL)", name="pending_is_due"),
    Index(
        "uq_cards_binding_live_card",
        "kind",
        "number_blind",
        unique=True,
        postgresql_where=text("state IN ('started', 'confirmed')"),
    ),
    Index("uq_cards_binding_id", "binding_id", unique=True),
    Index("ix_cards_binding_due", "ask_at", postgresql_where=text("ask_at IS NOT NULL")),
    Index("ix_cards_binding_made", "vuid", "made_at"),
)
"""One card of one account. ``sealed`` is the number, ``agreement`` the issuer's agreement number, ``tail`` is shown.

``pending`` is what the issuer was asked and has not answered: to open the binding, to confirm it, to end it; it is
asked again from ``ask_at`` on. ``last_answer`` is the request that last answered the challenge: sent
again it costs no further try. A live card has one row in the whole province.
"""

binding_tries = Table(
    "cards_binding_tries",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("wrong", SmallInteger, nullable=False),
    PrimaryKeyConstraint("vuid", "day"),
)
"""How often the proof for unbinding was wrong on one Beijing day."""
