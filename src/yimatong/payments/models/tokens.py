"""The table of payment tokens that stand in two-in-one codes."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

token = Table(
    "payments_token",
    metadata,
    Column("token_digest", LargeBinary, primary_key=True),
    Column("vuid", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    moment("issued_at"),
    moment("expires_at"),
    Index("ix_payments_token_expires", "expires_at"),
)
"""A provider's token, by its SM3: whose it is, at which provider, and the code's nonce that it was asked for."""
