"""Tables of the care room. A visit keeps the VUID; whom it stands for now is resolved on read, never copied."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata

visit = Table(
    "care_visit",
    metadata,
    Column("institution_id", Text, nullable=False),
    Column("visit_no", Text, nullable=False),
    Column("vuid", Text, nullable=False),
    Column("verification_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("doctor", Text, nullable=False),
    Column("visited_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default="registered"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("institution_id", "visit_no"),
    UniqueConstraint("institution_id", "verification_id"),
    CheckConstraint("state IN ('registered', 'finished', 'cancelled')", name="state"),
    Index("ix_care_visit_vuid", "vuid", "visited_at"),
)
"""就诊. ``visit_no`` is the institution's own number."""

bill = Table(
    "care_bill",
    metadata,
    Column("institution_id", Text, nullable=False),
    Column("bill_no", Text, nullable=False),
    Column("visit_no", Text, nullable=False),
    Column("order_no", Text, nullable=False),
    Column("order_version", Integer, nullable=False, server_default=text("0")),
    Column("description", Text, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="unpaid"),
    Column("paid_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("paid_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("institution_id", "bill_no"),
    ForeignKeyConstraint(["institution_id", "visit_no"], ["care_visit.institution_id", "care_visit.visit_no"]),
    CheckConstraint("state IN ('unpaid', 'paid', 'partly_refunded', 'refunded', 'expired')", name="state"),
    CheckConstraint("total_fen > 0", name="total"),
    Index("ix_care_bill_visit", "institution_id", "visit_no"),
)
"""账单. ``bill_no`` is the HIS's own number; ``order_version`` is the newest news from payments that was applied."""
