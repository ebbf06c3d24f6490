"""Tables of codes: their uses and their records."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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
