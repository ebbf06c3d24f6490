"""Tables of the registry of physical cards (居民健康卡注册管理系统), and the accounts' own list of their cards.

The registry and the accounts are two sides that tell each other what changed by the outbox. Each side keeps the version
of what it last heard, so a late message never overwrites a newer one; ``ymt verify cards`` compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from yimatong.kit.db import metadata

registry_resident = Table(
    "cards_registry_resident",
    metadata,
    Column("id_type", Text, nullable=False),
    Column("id_blind", LargeBinary, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("vuid", Text),
    Column("account_state", Text),
    Column("account_version", BigInteger, nullable=False, server_default=text("0")),
    Column("synchronised_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id_type", "id_blind"),
    Index("ix_cards_registry_resident_mpi", "mpi"),
)
"""Whom the registry knows, and with which electronic account. ``account_version`` is the number of the last message
about the account that was heard."""

physical_card = Table(
    "cards_physical_card",
    metadata,
    Column("card_id", Text, primary_key=True),
    Column("card_type", Text, nullable=False),
    Column("number_blind", LargeBinary, nullable=False),
    Column("number_end", Text, nullable=False),
    Column("chip_blind", LargeBinary),
    Column("sealed", LargeBinary, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("id_type", Text, nullable=False),
    Column("id_blind", LargeBinary, nullable=False),
    Column("vuid", Text),
    Column("replaced_by", Text),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Column("institution_id", Text),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('issued', 'lost', 'replaced', 'cancelled')", name="state"),
    CheckConstraint("(state = 'replaced') = (replaced_by IS NOT NULL)", name="replaced_points_on"),
    Index(
        "uq_cards_physical_card_live_number",
        "card_type",
        "number_blind",
        unique=True,
        postgresql_where=text("state IN ('issued', 'lost')"),
    ),
    Index(
        "uq_cards_physical_card_live_chip",
        "chip_blind",
        unique=True,
        postgresql_where=text("state IN ('issued', 'lost')"),
    ),
    Index("ix_cards_physical_card_number", "number_blind"),
    Index("ix_cards_physical_card_chip", "chip_blind", postgresql_where=text("chip_blind IS NOT NULL")),
    Index("ix_cards_physical_card_holder", "id_type", "id_blind"),
    Index("ix_cards_physical_card_issued", "issued_at", "card_id"),
)
"""居民健康卡 (实体卡). ``sealed`` holds card and chip number; ``number_end`` is what pages show.

``vuid`` is the account that was told last of this card; ``version`` counts its changes.
"""

card_event = Table(
    "cards_card_event",
    metadata,
    Column("card_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("card_id", "event_id"),
)
"""History of a physical card: what, who, when."""

account_card = Table(
    "cards_account_card",
    metadata,
    Column("card_id", Text, primary_key=True),
    Column("vuid", Text),
    Column("card_type", Text, nullable=False),
    Column("number_end", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("heard_at", DateTime(timezone=True), nullable=False),
    Index("ix_cards_account_card_vuid", "vuid", "issued_at"),
)
"""The accounts' side: which physical cards belong to an account, as the registry told it."""

arrival = Table(
    "cards_arrival",
    metadata,
    Column("arrival_id", Text, primary_key=True),
    Column("delivery", Text, nullable=False),
    Column("institution_id", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("card_type", Text, nullable=False),
    Column("number_blind", LargeBinary, nullable=False),
    Column("number_end", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("reason", Text),
    Column("detail", Text, nullable=False, server_default=""),
    Column("card_id", Text),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("received_by", Text, nullable=False),
    Column("done_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('waiting', 'done', 'refused')", name="state"),
    CheckConstraint("(state = 'refused') = (reason IS NOT NULL)", name="refused_has_a_reason"),
    Index("uq_cards_arrival_row", "institution_id", "delivery", "card_type", "number_blind", unique=True),
    Index("ix_cards_arrival_waiting", "arrival_id", postgresql_where=text("state = 'waiting'")),
    Index("ix_cards_arrival_delivery", "institution_id", "delivery", "state", "line"),
)
"""A row that the card-management system handed over, entered as it came; a job registers it in the index. A refused
row keeps its reason (a public error code; ``detail`` names the field, never its value) and can be tried again."""
