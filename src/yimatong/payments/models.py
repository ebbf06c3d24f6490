"""Tables of the payments room. ``order_no`` is the distribution key of everything that hangs on an order."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.append_only import add_triggers, append_only
from yimatong.kit.db import metadata
from yimatong.payments.states import AttemptState, OrderState, RefundState


def _moment(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _one_of(states: type[OrderState | AttemptState | RefundState]) -> CheckConstraint:
    listed = ", ".join(f"'{state.value}'" for state in states)
    return CheckConstraint(f"state IN ({listed})", name="state")


channel_account = Table(
    "payments_channel_account",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("institution_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("app_id", Text, nullable=False),
    Column("secrets_sealed", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default="active"),
    _moment("created_at"),
    UniqueConstraint("institution_id", "channel"),
    CheckConstraint("state IN ('active', 'off')", name="state"),
)
"""A hospital's own merchant account at a channel; the platform never mixes hospitals. Secrets are sealed JSON."""

order = Table(
    "payments_order",
    metadata,
    Column("order_no", Text, primary_key=True),
    Column("institution_id", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("vuid", Text),
    Column("description", Text, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    _moment("expires_at"),
    Column("paid_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("refund_reserved_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("late_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("paid_attempt_no", Text),
    Column("paid_channel", Text),
    Column("channel_trade_no", Text),
    _moment("paid_at", nullable=True),
    _moment("closed_at", nullable=True),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("close_at"),
    Column("close_tries", Integer, nullable=False, server_default=text("0")),
    _one_of(OrderState),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("paid_fen IN (0, amount_fen)", name="paid"),
    CheckConstraint(
        "0 <= refunded_fen AND refunded_fen <= refund_reserved_fen AND refund_reserved_fen <= paid_fen", name="refunds"
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
    Index("ix_payments_order_close", "close_at", postgresql_where=text("state IN ('created', 'paying', 'closing')")),
)
"""One thing to be paid. ``source_*`` is the payer room's (or the institution's) own reference, opaque here.

``refund_reserved_fen`` counts refunds that succeeded or are on their way: the check makes more than was paid impossible
whatever the code does. ``close_at`` is when the close protocol is due next, and the lease of whoever runs it.
"""

attempt = Table(
    "payments_attempt",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("attempt_no", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("scene", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("landed", Text),
    Column("cause", Text, nullable=False, server_default=""),
    Column("channel_trade_no", Text),
    Column("intent", JSONB, nullable=False),
    Column("action", JSONB),
    Column("sends", Integer, nullable=False, server_default=text("1")),
    _moment("sent_at"),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("paid_at", nullable=True),
    _moment("next_ask_at", nullable=True),
    Column("asks", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("order_no", "attempt_no"),
    ForeignKeyConstraint(["order_no"], ["payments_order.order_no"]),
    _one_of(AttemptState),
    CheckConstraint("landed IN ('order', 'suspense')", name="landed"),
    CheckConstraint("(state = 'succeeded') = (landed IS NOT NULL)", name="landed_when_succeeded"),
    Index("uq_payments_attempt_credited", "order_no", unique=True, postgresql_where=text("landed = 'order'")),
    Index("ix_payments_attempt_due", "next_ask_at", postgresql_where=text("state IN ('started', 'unknown')")),
    Index("ix_payments_attempt_paid", "account_id", "paid_at"),
)
"""One try at a channel. ``intent`` is what was sent, so that sending it again says the same.

At most one attempt's money lands on its order: held by the unique index.

``next_ask_at`` is when the channel is asked next, and the lease of whoever asks.
"""

refund = Table(
    "payments_refund",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("refund_no", Text, nullable=False),
    Column("attempt_no", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("request_no", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    Column("requested_by", Text, nullable=False),
    Column("channel_refund_no", Text),
    Column("sends", Integer, nullable=False, server_default=text("0")),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("accepted_at", nullable=True),
    _moment("succeeded_at", nullable=True),
    _moment("next_ask_at", nullable=True),
    Column("asks", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("order_no", "refund_no"),
    ForeignKeyConstraint(["order_no"], ["payments_order.order_no"]),
    UniqueConstraint("order_no", "request_no"),
    _one_of(RefundState),
    CheckConstraint("kind IN ('asked', 'late')", name="kind"),
    CheckConstraint("amount_fen > 0", name="amount"),
    Index(
        "ix_payments_refund_due",
        "next_ask_at",
        postgresql_where=text("state IN ('requested', 'processing', 'unknown')"),
    ),
    Index("ix_payments_refund_accepted", "account_id", "accepted_at"),
)
"""Money on its way back: ``asked`` for by the institution, or ``late`` money that the platform returns by itself."""

notice = Table(
    "payments_notice",
    metadata,
    Column("channel", Text, nullable=False),
    Column("notice_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("number", Text, nullable=False),
    _moment("at"),
    PrimaryKeyConstraint("channel", "account_id", "notice_id"),
)
"""Notices that were applied. The digest is over what the notice says: the same id may not say something else."""

ledger_transaction = Table(
    "payments_ledger_transaction",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("movement", Text, nullable=False),
    _moment("at"),
    PrimaryKeyConstraint("order_no", "movement"),
    ForeignKeyConstraint(["order_no"], ["payments_order.order_no"]),
)
"""One movement of money, e.g. ``paid:<attempt>``: the key makes booking it twice impossible. Only ever inserted."""

ledger_entry = Table(
    "payments_ledger_entry",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("movement", Text, nullable=False),
    Column("line", SmallInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    _moment("at"),
    PrimaryKeyConstraint("order_no", "movement", "line"),
    ForeignKeyConstraint(
        ["order_no", "movement"], ["payments_ledger_transaction.order_no", "payments_ledger_transaction.movement"]
    ),
    CheckConstraint("amount_fen <> 0", name="amount"),
    Index("ix_payments_ledger_entry_account", "account", "at"),
)
"""One line of a movement: debits positive, credits negative; each movement adds up to zero. Only ever inserted."""

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
    _moment("at"),
    PrimaryKeyConstraint("order_no", "id"),
)
"""Every change of state, in order. Only ever inserted."""

_BALANCED = """
    CREATE OR REPLACE FUNCTION payments_ledger_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT coalesce(sum(amount_fen), 0) <> 0 OR count(*) < 2 FROM payments_ledger_entry
            WHERE order_no = NEW.order_no AND movement = NEW.movement) THEN
            RAISE EXCEPTION 'movement % of % does not balance', NEW.movement, NEW.order_no
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NULL;
    END $$
"""


def _balance(name: str) -> str:
    return f"""
    CREATE CONSTRAINT TRIGGER {name}_balanced AFTER INSERT ON {name}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_ledger_balanced()
    """


for _table in (history, ledger_transaction, ledger_entry):
    append_only(_table)
for _table in (ledger_transaction, ledger_entry):
    add_triggers(_table, _BALANCED, _balance(_table.name))
