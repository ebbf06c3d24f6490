"""Tables of electronic receipts (医疗电子票据)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

receipt = Table(
    "payments_receipt",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("request_no", Text, nullable=False),
    Column("institution_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("content_sealed", LargeBinary, nullable=False),
    Column("receipt_code", Text, nullable=False, server_default=""),
    Column("receipt_no", Text, nullable=False, server_default=""),
    Column("check_code", Text, nullable=False, server_default=""),
    Column("check_url", Text, nullable=False, server_default=""),
    Column("cause", Text, nullable=False, server_default=""),
    moment("asked_at"),
    moment("issued_at", nullable=True),
    PrimaryKeyConstraint("order_no", "request_no"),
    ForeignKeyConstraint(["order_no"], ["payments_order.order_no"]),
    CheckConstraint("kind IN ('blue', 'red')", name="kind"),
    CheckConstraint("state IN ('asked', 'issued', 'refused')", name="state"),
    CheckConstraint("(state = 'issued') = (issued_at IS NOT NULL)", name="issued"),
    CheckConstraint("(kind = 'blue') = (amount_fen > 0)", name="amount"),
)
"""One receipt of an order: the blue one of its payment (``request_no`` is the order's), a red one of each refund.

``content_sealed`` is what was asked for, with the payer's name: the same when it is asked for again, and what is drawn.
"""

stay = Table(
    "payments_stay",
    metadata,
    Column("institution_id", Text, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("content_sealed", LargeBinary, nullable=False),
    moment("noted_at"),
    PrimaryKeyConstraint("institution_id", "source_kind", "source_id"),
)
"""What the inpatient receipt of a settled stay says, by the source whose order it is issued for.

That is the bill for what deposits did not cover, or the last deposit that paid, where they covered everything.
"""
