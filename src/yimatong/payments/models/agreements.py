"""Tables of agreements under which a payer's later payments need no password, or an SMS code alone."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

agreement = Table(
    "payments_agreement",
    metadata,
    Column("agreement_id", Text, primary_key=True),
    Column("vuid", Text, nullable=False),
    Column("institution_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("request_sealed", LargeBinary, nullable=False),
    Column("agreement_no_sealed", LargeBinary),
    Column("action", JSONB),
    Column("single_limit_fen", BigInteger, nullable=False),
    Column("daily_limit_fen", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    moment("agreed_at", nullable=True),
    moment("ended_at", nullable=True),
    moment("next_ask_at", nullable=True),
    Column("asks", Integer, nullable=False, server_default=text("0")),
    CheckConstraint("kind IN ('password_free', 'bank_card')", name="kind"),
    CheckConstraint("state IN ('waiting', 'agreed', 'ending', 'refused', 'ended')", name="state"),
    CheckConstraint("0 < single_limit_fen AND single_limit_fen <= daily_limit_fen", name="limits"),
    Index(
        "uq_payments_agreement_live",
        "vuid",
        "account_id",
        "kind",
        unique=True,
        postgresql_where=text("state IN ('waiting', 'agreed', 'ending')"),
    ),
    Index("ix_payments_agreement_due", "next_ask_at", postgresql_where=text("state IN ('waiting', 'ending')")),
)
"""免密支付 or 快捷支付 at one hospital's merchant account. ``request_sealed``: who agrees and by which card."""
