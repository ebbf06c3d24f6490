"""The exchange with the national person index: what was sent of whom, how far we are, what was received."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from yimatong.kit.db import metadata

national_item = Table(
    "empi_national_item",
    metadata,
    Column("item_id", Text, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="due"),
    Column("action", Text),
    Column("survivor_mpi", Uuid),
    Column("message_id", Text, unique=True),
    Column("message_sealed", LargeBinary),
    Column("digest", LargeBinary),
    Column("national_blind", LargeBinary),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("reason", Text, nullable=False, server_default=""),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("item_id"),
    CheckConstraint("state IN ('due', 'sent', 'acknowledged', 'refused', 'unknown')", name="state"),
    CheckConstraint("action IN ('add', 'revise', 'resolve')", name="action"),
    CheckConstraint("(state = 'due') = (message_id IS NULL)", name="said"),
    CheckConstraint("(state IN ('acknowledged', 'refused')) = (settled_at IS NOT NULL)", name="settled"),
    CheckConstraint("(state IN ('sent', 'unknown')) = (message_sealed IS NOT NULL)", name="kept_to_ask_again"),
    CheckConstraint("(action = 'resolve') = (survivor_mpi IS NOT NULL)", name="survivor"),
    Index("uq_empi_national_item_due", "mpi", unique=True, postgresql_where=text("state = 'due'")),
    Index("uq_empi_national_item_open", "mpi", unique=True, postgresql_where=text("state IN ('sent', 'unknown')")),
    Index("ix_empi_national_item_next", "next_at", postgresql_where=text("state IN ('due', 'sent', 'unknown')")),
    Index("ix_empi_national_item_refused", "settled_at", postgresql_where=text("state = 'refused'")),
    Index("ix_empi_national_item_settled", "mpi", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
    Index("ix_empi_national_item_acknowledged", "settled_at", postgresql_where=text("state = 'acknowledged'")),
)
"""上传台账: one row for each message of a person that is due, under way or was answered.

``due``: something changed; what is said of her is read when it is sent, so one row is enough however often she changes.
``sent`` and ``unknown`` keep the message sealed, to ask again with the very same one; of a person at most one is
under way. ``digest`` is keyed: what was said, to see whether there is anything new. ``version`` is hers that was said.
"""

national_cursor = Table(
    "empi_national_cursor",
    metadata,
    Column("name", Text, nullable=False),
    Column("seq", BigInteger, nullable=False, server_default=text("0")),
    Column("mpi", Uuid),
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("moved_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("name"),
)
"""How far we are: ``notices`` in the mailbox of the national index (``seq``), ``everybody`` in the first upload.

The changes of persons are read with a cursor of their own (``empi_change_cursor``).
"""

national_inbox = Table(
    "empi_national_inbox",
    metadata,
    Column("notice_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("mpis", ARRAY(Uuid), nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("said_at", DateTime(timezone=True), nullable=False),
    Column("sealed", LargeBinary),
    Column("state", Text, nullable=False, server_default="received"),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("became", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("notice_id"),
    CheckConstraint("kind IN ('duplicates_found', 'merged', 'distributed')", name="kind"),
    CheckConstraint("state IN ('received', 'done', 'refused', 'parked')", name="state"),
    CheckConstraint("(state = 'received') = (settled_at IS NULL)", name="settled"),
    Index("ix_empi_national_inbox_waiting", "said_at", "seq", postgresql_where=text("state = 'received'")),
    Index("ix_empi_national_inbox_subject", "subject", "said_at", postgresql_where=text("kind = 'distributed'")),
    Index("ix_empi_national_inbox_failed", "settled_at", postgresql_where=text("state IN ('refused', 'parked')")),
)
"""Notices of the national index; each is entered once by its id, and done in the transaction of what it causes.

``mpis``: which persons of ours it names; notices of one person are done in their order. ``subject`` is the keyed blind
of the national number. ``became``: the review, merge or contribution that came of it.
"""
