"""Printed labels of static codes (二维码标签)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, PrimaryKeyConstraint, Table, Text

from yimatong.kit.db import metadata

label = Table(
    "cards_label",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("symbology", Text, nullable=False),
    Column("printed_at", DateTime(timezone=True), nullable=False),
    Column("printed_by", Text, nullable=False),
    Column("institution_id", Text),
    Column("revoked_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("vuid", "serial"),
    CheckConstraint("state IN ('live', 'revoked')", name="state"),
    Index("ix_cards_label_institution", "institution_id", "printed_at"),
)
"""One printed label. ``serial`` starts with ``L`` and is the last field of its text, ``VUID:1::SERIAL``. A label can be
revoked (lost, torn, another person's) without touching the account's other codes.
"""
