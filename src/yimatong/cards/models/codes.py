"""Tables of codes: their uses and their records."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from yimatong.kit.db import metadata
from yimatong.kit.partitions import month_partitions

code_use = Table(
    "cards_code_use",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("used_by", Text),
    Column("used_key", Text),
    Column("record_id", Text),
    Column("failures", SmallInteger, nullable=False, server_default=text("0")),
    Column("uses_left", SmallInteger, nullable=False, server_default=text("0")),
    Column("place", Text),
    Column("earlier", ARRAY(Text)),
    Column("token_digest", LargeBinary),
    Column("forget_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("vuid", "issued_at", "nonce"),
)
"""One dynamic code that was used, that failed, or that was issued with a token.

``used_key`` is the idempotency key of the last use and what it was asked with (purpose, step, visit): the same caller
with the same gets its first answer again.
A code that its policy allows several uses has ``uses_left`` of them at its ``place`` (institution and visit); the uses
before the last are ``caller LF key LF record`` in ``earlier``. ``token_digest`` is SM3 of the one token that the code
was issued with. Kept until ``forget_at`` (Unix seconds)."""

code_record = Table(
    "cards_code_record",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False),
    Column("code_kind", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("institution_id", Text),
    Column("front_id", Text),
    Column("request_id", Text, nullable=False),
    Column("key_version", SmallInteger),
    Column("took_ms", SmallInteger),
    PrimaryKeyConstraint("vuid", "record_id", "at"),
    CheckConstraint("event IN ('issued', 'verified')", name="event"),
    Index("ix_cards_code_record_at", "at", "record_id"),
    Index("ix_cards_code_record_institution", "institution_id", "at", "record_id"),
    postgresql_partition_by="RANGE (at)",
)
"""二维码生成及验证记录. ``result`` is ``ok`` or the public error code; ``vuid`` is empty for unreadable texts.

``took_ms`` is how long a verification took from its authenticated request to its storing, 32767 at most; empty for
issues. ``key_version`` is the protection key that opened (or made) a dynamic code. One partition a Beijing month
(docs/operations.md): ``kit.partitions`` makes them ahead."""

record_archive = Table(
    "cards_record_archive",
    metadata,
    Column("month", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("parts", JSONB, nullable=False),
    Column("manifest_sm3", Text, nullable=False),
    Column("archived_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("month ~ '^[0-9]{4}-[0-9]{2}$'", name="month"),
)
"""A month (Beijing, ``yyyy-mm``) whose records stand in sealed Parquet files.

The row is written in the transaction that drops the month's partition, so a record is in the database or in the
archive, never in both and never in neither. ``parts`` are the files with their rows and digests."""

month_partitions(code_record)
