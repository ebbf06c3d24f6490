"""Tables of the cards room. ``vuid`` is the distribution key of everything that belongs to an account."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
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
    Column("codes_valid_from", DateTime(timezone=True)),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("vuid", "generation"),
    CheckConstraint("state IN ('active', 'frozen', 'cancelled')", name="state"),
    Index("uq_cards_account_live_person", "mpi", unique=True, postgresql_where=text("state <> 'cancelled'")),
    Index("ix_cards_account_mpi", "mpi"),
    Index("uq_cards_account_live_vuid", "vuid", unique=True, postgresql_where=text("state <> 'cancelled'")),
)
"""电子健康卡账户. A person has one live account; opening one again after a cancellation is the next generation."""

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

code_use = Table(
    "cards_code_use",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("used_by", Text),
    Column("used_key", Text),
    Column("record_id", Text),
    Column("failures", SmallInteger, nullable=False, server_default=text("0")),
    Column("forget_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("vuid", "issued_at", "nonce"),
)
"""One dynamic code that was used, or that failed. ``used_key`` is the idempotency key of the first use: the same caller
with the same key gets its first answer again. Kept until ``forget_at`` (Unix seconds)."""

code_record = Table(
    "cards_code_record",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False),
    Column("code_kind", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("institution_id", Text),
    Column("front_id", Text),
    Column("request_id", Text, nullable=False),
    PrimaryKeyConstraint("vuid", "record_id"),
    CheckConstraint("event IN ('issued', 'verified')", name="event"),
    Index("ix_cards_code_record_at", "at", "record_id"),
)
"""二维码生成及验证记录. ``result`` is ``ok`` or the public error code; ``vuid`` is empty for unreadable texts."""

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
