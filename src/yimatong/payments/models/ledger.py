"""Tables of the double-entry ledger."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from yimatong.kit.append_only import add_triggers, append_only
from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

ledger_transaction = Table(
    "payments_ledger_transaction",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("movement", Text, nullable=False),
    moment("at"),
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
    moment("at"),
    PrimaryKeyConstraint("order_no", "movement", "line"),
    ForeignKeyConstraint(
        ["order_no", "movement"], ["payments_ledger_transaction.order_no", "payments_ledger_transaction.movement"]
    ),
    CheckConstraint("amount_fen <> 0", name="amount"),
    Index("ix_payments_ledger_entry_account", "account", "at"),
)
"""One line of a movement: debits positive, credits negative; each movement adds up to zero. Only ever inserted."""

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


for _table in (ledger_transaction, ledger_entry):
    append_only(_table)
for _table in (ledger_transaction, ledger_entry):
    add_triggers(_table, _BALANCED, _balance(_table.name))
