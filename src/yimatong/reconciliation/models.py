"""Tables of the reconciliation room. Everything hangs on the merchant account, whose day is one run."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata

STATES: Final = ("open", "assigned", "proposed", "approved", "rejected", "executed", "verified", "closed")
"""A discrepancy's way; ``verified`` is set by a run that no longer finds it, ``open`` again by one that does."""


def _sides() -> list[Column[Any]]:
    """Return what each side says; nulls where a side says nothing."""
    return [
        Column("platform_fen", BigInteger),
        Column("bill_fen", BigInteger),
        Column("platform_state", Text),
        Column("bill_state", Text),
        Column("platform_fee", Numeric(20, 5)),
        Column("bill_fee", Numeric(20, 5)),
        Column("bill_fee_due", Numeric(20, 5)),
        Column("platform_at", DateTime(timezone=True)),
        Column("bill_at", DateTime(timezone=True)),
        Column("platform_channel_no", Text),
        Column("bill_channel_no", Text),
    ]


run = Table(
    "reconciliation_run",
    metadata,
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("bill_date", Date, nullable=False),
    Column("institution_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    Column("tallies", JSONB, nullable=False),
    Column("bill_sha256", Text, nullable=False, server_default=""),
    Column("bill_sm3", Text, nullable=False, server_default=""),
    Column("bill_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("channel", "account_id", "bill_date"),
    CheckConstraint("state IN ('done', 'empty', 'failed')", name="state"),
    Index("ix_reconciliation_run_day", "bill_date", "account_id"),
)
"""A business day of one merchant account; ``version`` counts how often it was reconciled.

``tallies`` has rows and fen of every class. ``empty``: neither bill nor movement. ``failed``: never reconciled yet;
``cause`` is the code of the last error, also when an older result stands.
"""

row = Table(
    "reconciliation_row",
    metadata,
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("bill_date", Date, nullable=False),
    Column("movement", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("partner_day", Date),
    Column("bill_line", BigInteger),
    *_sides(),
    PrimaryKeyConstraint("channel", "account_id", "bill_date", "movement", "number", "side", "rank"),
    CheckConstraint("side IN ('both', 'platform', 'bill')", name="side"),
    CheckConstraint("movement IN ('payment', 'refund')", name="movement"),
)
"""Rows that are not matched within their own day. ``side`` says whose row this day counts: a pair across two days
stands on both of them, each time with what both sides say."""

discrepancy = Table(
    "reconciliation_discrepancy",
    metadata,
    Column("discrepancy_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("institution_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("movement", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("bill_date", Date, nullable=False),
    Column("state", Text, nullable=False),
    Column("difference_fen", BigInteger, nullable=False),
    *_sides(),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("channel", "account_id", "kind", "movement", "number"),
    CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state"),
    Index("ix_reconciliation_discrepancy_page", "institution_id", "bill_date", "discrepancy_id"),
    Index("ix_reconciliation_discrepancy_state", "state", "bill_date"),
)
"""差错账: one difference that somebody must work to its end, whatever the number of runs that saw it.

``difference_fen`` is bill minus platform, refunds counted negative.
"""
