"""Tables that steer verification: policies of applications, trouble with terminals, what terminals saw offline."""

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
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from yimatong.kit.db import metadata

code_policy = Table(
    "cards_code_policy",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("classes", ARRAY(Text)),
    Column("purposes", ARRAY(Text)),
    Column("ttl_general_s", SmallInteger),
    Column("ttl_visit_s", SmallInteger),
    Column("ttl_records_s", SmallInteger),
    Column("ttl_payment_s", SmallInteger),
    Column("uses", SmallInteger, nullable=False, server_default=text("1")),
    Column("skew_s", SmallInteger, nullable=False, server_default=text("30")),
    Column("rubbish_max", SmallInteger),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("uses BETWEEN 1 AND 20", name="uses"),
    CheckConstraint("skew_s BETWEEN 0 AND 120", name="skew_s"),
    CheckConstraint("rubbish_max BETWEEN 1 AND 10000", name="rubbish_max"),
    CheckConstraint(
        "coalesce(ttl_general_s, 15) BETWEEN 15 AND 1275 AND coalesce(ttl_visit_s, 15) BETWEEN 15 AND 1275"
        " AND coalesce(ttl_records_s, 15) BETWEEN 15 AND 1275 AND coalesce(ttl_payment_s, 15) BETWEEN 15 AND 1275",
        name="ttl",
    ),
)
"""应用用码策略: what an application's codes may be and how they are verified.

``subject`` is a caller, or an institution for all its callers without a row of their own. Empty lists and lifetimes
mean the platform's defaults.
"""

code_trouble = Table(
    "cards_code_trouble",
    metadata,
    Column("caller_id", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("number", Integer, nullable=False),
    Column("throttled_until", DateTime(timezone=True)),
)
"""Callers that sent texts that are no genuine codes: how many since when, and until when nothing of theirs is verified.
Written on failures only.
"""

offline_use = Table(
    "cards_offline_use",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("uploaded_at", DateTime(timezone=True), nullable=False),
    Column("record_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    PrimaryKeyConstraint("vuid", "issued_at", "nonce", "caller_id", "seen_at"),
    CheckConstraint("outcome IN ('recorded', 'double_use')", name="outcome"),
    Index("ix_cards_offline_use_uploaded", "uploaded_at"),
)
"""What terminals accepted without the network and told later; the same report again changes nothing."""
