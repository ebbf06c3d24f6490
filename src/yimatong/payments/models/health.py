"""Tables of channel health: what was counted minute by minute, and how each merchant account stands."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy import text as sql

from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

health_minute = Table(
    "payments_health_minute",
    metadata,
    Column("account_id", Text, nullable=False),
    moment("minute"),
    Column("verb", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("ok", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("silent", Integer, nullable=False),
    Column("ms_sum", BigInteger, nullable=False),
    Column("ms_max", Integer, nullable=False),
    PrimaryKeyConstraint("account_id", "minute", "verb"),
    Index("ix_payments_health_minute_minute", "minute"),
)
"""Calls of one merchant account in one minute, by verb. *Refused* is an answer too; *silent* is none."""

channel_health = Table(
    "payments_channel_health",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("mood", Text, nullable=False, server_default="well"),
    moment("since"),
    Column("pause_s", Integer, nullable=False, server_default=sql("0")),
    moment("try_at", nullable=True),
    Column("base_asked", Integer, nullable=False, server_default=sql("0")),
    Column("base_answered", Integer, nullable=False, server_default=sql("0")),
    Column("pin", Text, nullable=False, server_default=""),
    Column("pinned_by", Text, nullable=False, server_default=""),
    moment("updated_at"),
    CheckConstraint("mood IN ('well', 'sick', 'trying')", name="mood"),
    CheckConstraint("pin IN ('', 'shown', 'hidden')", name="pin"),
)
"""How an account stands since when; ``base_*`` is what the minute of ``since`` had counted before it.

``pin``: an operator's word, which counts before what was measured.
"""
