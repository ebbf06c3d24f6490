"""Tables of the registry of physical cards (居民健康卡注册管理系统)."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from yimatong.kit.db import metadata

registry_resident = Table(
    "cards_registry_resident",
    metadata,
    Column("id_type", Text, nullable=False),
    Column("id_blind", LargeBinary, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("vuid", Text),
    Column("synchronised_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id_type", "id_blind"),
)
"""注册管理系统: whom the registry of physical cards knows, and with which electronic account."""

physical_card = Table(
    "cards_physical_card",
    metadata,
    Column("card_number", Text, nullable=False),
    Column("card_type", Text, nullable=False),
    Column("chip_number", Text),
    Column("issuer", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("id_type", Text, nullable=False),
    Column("id_blind", LargeBinary, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("card_number", "card_type"),
    CheckConstraint("state IN ('issued', 'lost', 'replaced', 'cancelled')", name="state"),
    Index("ix_cards_physical_card_holder", "id_type", "id_blind"),
)
"""居民健康卡 (实体卡)."""
