"""Tables of orders: what is to be paid, the tries to pay it, and what goes back."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.append_only import append_only
from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment, one_of
from yimatong.payments.states import AttemptState, OrderState, RefundState


def _landed(*parts: str) -> TextClause:
    """Return the condition that an attempt's money landed on one of these parts of its order."""
    listed = ", ".join(f"'{part}'" for part in parts)
    return text(f"landed = 'order' AND part IN ({listed})")


order = Table(
    "payments_order",
    metadata,
    Column("order_no", Text, primary_key=True),
    Column("institution_id", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("vuid", Text),
    Column("payer_vuid", Text),
    Column("payer_caller_id", Text),
    Column("service_channel_id", Text),
    Column("terminal_no", Text, nullable=False, server_default=""),
    Column("return_url", Text, nullable=False, server_default=""),
    Column("description", Text, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    moment("expires_at"),
    moment("app_until", nullable=True),
    Column("cash_fen", BigInteger, nullable=False),
    Column("reversing", Boolean, nullable=False, server_default=text("false")),
    Column("paid_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("refund_reserved_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("used_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("late_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("paid_attempt_no", Text),
    Column("paid_channel", Text),
    Column("channel_trade_no", Text),
    moment("paid_at", nullable=True),
    moment("closed_at", nullable=True),
    moment("created_at"),
    moment("updated_at"),
    moment("close_at"),
    Column("close_tries", Integer, nullable=False, server_default=text("0")),
    one_of(OrderState),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("0 <= cash_fen AND cash_fen <= amount_fen", name="cash"),
    CheckConstraint("paid_fen IN (0, amount_fen)", name="paid"),
    CheckConstraint(
        "0 <= refunded_fen AND refunded_fen <= refund_reserved_fen AND 0 <= used_fen "
        "AND refund_reserved_fen + used_fen <= paid_fen",
        name="refunds",
    ),
    Index(
        "uq_payments_order_source",
        "institution_id",
        "source_kind",
        "source_id",
        unique=True,
        postgresql_where=text("state <> 'closed'"),
    ),
    Index("ix_payments_order_page", "institution_id", "created_at", "order_no"),
    Index("ix_payments_order_day", "created_at", "order_no"),
    Index("ix_payments_order_close", "close_at", postgresql_where=text("state IN ('created', 'paying', 'closing')")),
)
"""One thing to be paid. ``source_*`` is the payer room's (or the institution's) own reference, opaque here.

``refund_reserved_fen`` counts refunds that succeeded or are on their way: the check makes more than was paid
impossible whatever the code does. ``cash_fen`` is the payer's own part: the amount less what insurers were found to
pay (``leg``). ``used_fen`` is what of a deposit has paid for a stay. ``payer_caller_id`` is the app by which somebody
pays what a hospital placed; it may see and pay the order, too. ``return_url`` is where the cashier's page leads back
to, as the caller that placed the order said, and nobody else. ``app_until`` ends the time in which it may be paid in
an app; a kiosk or window may take it until ``expires_at``. ``reversing``: insurance parts are on their way back, so
money that arrives now is late. ``close_at`` is when the close protocol is due next, and the lease of whoever runs it.
"""

attempt = Table(
    "payments_attempt",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("attempt_no", Text, nullable=False),
    Column("part", Text, nullable=False, server_default="cash"),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("scene", Text, nullable=False),
    Column("agreement_id", Text),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("landed", Text),
    Column("cause", Text, nullable=False, server_default=""),
    Column("channel_trade_no", Text),
    Column("intent", JSONB, nullable=False),
    Column("action", JSONB),
    Column("sends", Integer, nullable=False, server_default=text("1")),
    moment("sent_at"),
    moment("expires_at"),
    moment("created_at"),
    moment("updated_at"),
    moment("paid_at", nullable=True),
    moment("taking_back_at", nullable=True),
    moment("next_ask_at", nullable=True),
    Column("asks", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("order_no", "attempt_no"),
    ForeignKeyConstraint(["order_no"], ["payments_order.order_no"]),
    one_of(AttemptState),
    CheckConstraint("landed IN ('order', 'suspense')", name="landed"),
    CheckConstraint("(state = 'succeeded') = (landed IS NOT NULL)", name="landed_when_succeeded"),
    CheckConstraint("part IN ('cash', 'insurance', 'commercial', 'whole')", name="part"),
    Index("uq_payments_attempt_credited", "order_no", unique=True, postgresql_where=_landed("cash", "whole")),
    Index("uq_payments_attempt_insured", "order_no", unique=True, postgresql_where=_landed("insurance", "whole")),
    Index("uq_payments_attempt_claimed", "order_no", unique=True, postgresql_where=_landed("commercial")),
    Index("ix_payments_attempt_due", "next_ask_at", postgresql_where=text("state IN ('started', 'unknown')")),
    Index("ix_payments_attempt_paid", "account_id", "paid_at"),
)
"""One try at a channel. ``intent`` is what was sent, so that sending it again says the same.

At most one attempt's money lands on each part of its order: held by the unique indexes.

``taking_back_at`` is when its reversal was last about to be sent: from then on word that it was paid says nothing of
where the money is. ``next_ask_at`` is when the channel is asked next, and the lease of whoever asks.
"""

refund = Table(
    "payments_refund",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("refund_no", Text, nullable=False),
    Column("attempt_no", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("part", Text, nullable=False, server_default="cash"),
    Column("components", JSONB, nullable=False, server_default=text("'{}'")),
    Column("request_no", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    Column("requested_by", Text, nullable=False),
    Column("channel_refund_no", Text),
    Column("sends", Integer, nullable=False, server_default=text("0")),
    moment("created_at"),
    moment("updated_at"),
    moment("accepted_at", nullable=True),
    moment("succeeded_at", nullable=True),
    moment("next_ask_at", nullable=True),
    Column("asks", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("order_no", "refund_no"),
    ForeignKeyConstraint(["order_no"], ["payments_order.order_no"]),
    UniqueConstraint("order_no", "request_no", "part"),
    one_of(RefundState),
    CheckConstraint("kind IN ('asked', 'late', 'reversal')", name="kind"),
    CheckConstraint("amount_fen > 0", name="amount"),
    Index(
        "ix_payments_refund_due",
        "next_ask_at",
        postgresql_where=text("state IN ('requested', 'processing', 'unknown')"),
    ),
    Index("ix_payments_refund_accepted", "account_id", "accepted_at"),
)
"""Money on its way back, one row for each part of the order that it comes from.

``asked`` for by the institution; ``late`` money that the platform returns by itself; ``reversal`` of an insurance part
whose order was closed before the rest was paid.
"""

refund_item = Table(
    "payments_refund_item",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("refund_no", Text, nullable=False),
    Column("line", SmallInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    PrimaryKeyConstraint("order_no", "refund_no", "line"),
    ForeignKeyConstraint(["order_no", "refund_no"], ["payments_refund.order_no", "payments_refund.refund_no"]),
    CheckConstraint("amount_fen > 0", name="amount"),
)
"""How much of which line of the order a refund returns; lines count from 1."""

leg = Table(
    "payments_leg",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("leg_no", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("components", JSONB, nullable=False),
    Column("references_sealed", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    moment("expires_at", nullable=True),
    PrimaryKeyConstraint("order_no", "part"),
    ForeignKeyConstraint(["order_no"], ["payments_order.order_no"]),
    CheckConstraint("part IN ('insurance', 'commercial')", name="part"),
    CheckConstraint("state IN ('presettled', 'dropped')", name="state"),
    CheckConstraint("amount_fen > 0", name="amount"),
)
"""The part of an order that an insurer was found to pay (预结算). Its attempt says whether it was settled.

``references_sealed`` is what the insurer wants to hear again; it may hold personal data.
"""

history = Table(
    "payments_event",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("id", BigInteger, Identity(), nullable=False),
    Column("kind", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    moment("at"),
    PrimaryKeyConstraint("order_no", "id"),
)
"""Every change of state, in order for each number. Only ever inserted."""

append_only(history)
