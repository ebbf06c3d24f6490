"""The table of preferred channels."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

preference = Table(
    "payments_preference",
    metadata,
    Column("vuid", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    moment("updated_at"),
)
"""By which channel a resident began her last payment: her cashier shows that one first."""
