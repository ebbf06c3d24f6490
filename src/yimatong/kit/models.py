"""Tables of the kit: outbox, audit rows and their seals, alarms."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from yimatong.kit.append_only import append_only
from yimatong.kit.db import metadata


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's ``xid8``: the full, never wrapping transaction id."""

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        """Return the type's name in DDL."""
        return "xid8"


outbox = Table(
    "kit_outbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("ordering_key", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True)),
    Column("last_error", Text),
    CheckConstraint("state IN ('pending', 'delivered', 'parked')", name="state"),
    Index("ix_kit_outbox_due", "ordering_key", "id", postgresql_where=text("state = 'pending'")),
    Index("ix_kit_outbox_delivered", "delivered_at", postgresql_where=text("state = 'delivered'")),
)

audit_event = Table(
    "kit_audit_event",
    metadata,
    Column("txid", TransactionId, primary_key=True, server_default=func.pg_current_xact_id()),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("institution_id", Text),
    Column("action", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
)
"""Who did what to which object with what result (GB/T 22239-2019 8.1.4.3). Rows are only ever inserted."""

audit_seal = Table(
    "kit_audit_seal",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("upto_txid", TransactionId, nullable=False),
    Column("upto_id", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
"""One link of the chain: HMAC-SM3 over the link before and the rows since. Rows are only ever inserted."""

alarm = Table(
    "kit_alarm",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("count", Integer, nullable=False, server_default=text("1")),
    Column("acknowledged_by", Text),
    Column("acknowledged_at", DateTime(timezone=True)),
    CheckConstraint("(acknowledged_by IS NULL) = (acknowledged_at IS NULL)", name="acknowledged_by_somebody"),
    Index("uq_kit_alarm_open", "kind", "subject", unique=True, postgresql_where=text("acknowledged_at IS NULL")),
    Index("ix_kit_alarm_last", "last_at", "id"),
)
"""What a person must look at, once for each kind and subject until somebody says that he saw it."""

append_only(audit_event)
append_only(audit_seal)
