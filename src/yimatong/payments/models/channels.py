"""Tables of payment channels: hospitals' merchant accounts, and the notices that were applied."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, LargeBinary, PrimaryKeyConstraint, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

channel_account = Table(
    "payments_channel_account",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("institution_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("app_id", Text, nullable=False),
    Column("secrets_sealed", LargeBinary, nullable=False),
    Column("profile", JSONB, nullable=False, server_default=text("'{}'")),
    Column("state", Text, nullable=False, server_default="active"),
    moment("created_at"),
    UniqueConstraint("institution_id", "channel"),
    CheckConstraint("state IN ('active', 'off')", name="state"),
)
"""A hospital's own merchant account at a channel; the platform never mixes hospitals. Secrets are sealed JSON."""

notice = Table(
    "payments_notice",
    metadata,
    Column("channel", Text, nullable=False),
    Column("notice_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("number", Text, nullable=False),
    moment("at"),
    PrimaryKeyConstraint("channel", "account_id", "notice_id"),
)
"""Notices that were applied. The digest is over what the notice says: the same id may not say something else."""
