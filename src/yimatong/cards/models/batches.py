"""Tables of batches: files of residents, visit cards and physical cards, and whom they tagged."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata

batch = Table(
    "cards_batch",
    metadata,
    Column("batch_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("batch_key", LargeBinary, nullable=False),
    Column("file_digest", LargeBinary, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("institution_id", Text),
    Column("tag", Text),
    Column("columns", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("rows", Integer, nullable=False, server_default=text("0")),
    Column("checked", JSONB),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("batch_id"),
    CheckConstraint("state IN ('receiving', 'received', 'checked', 'running', 'stopped', 'done')", name="state"),
    CheckConstraint("kind IN ('residents', 'visit-cards', 'physical-cards')", name="kind"),
    Index("uq_cards_batch_key", "batch_key", unique=True),
    Index("ix_cards_batch_made_at", "made_at", "batch_id"),
)
"""批量导入. ``batch_key`` is the SM3 of file, kind, institution, tag and mapping: the same again is the same batch.
``checked`` is what the last dry run counted."""

batch_chunk = Table(
    "cards_batch_chunk",
    metadata,
    Column("batch_id", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="staged"),
    Column("sealed", LargeBinary),
    Column("opened", Integer, nullable=False, server_default=text("0")),
    Column("known", Integer, nullable=False, server_default=text("0")),
    Column("bad", Integer, nullable=False, server_default=text("0")),
    Column("reasons", JSONB),
    Column("bad_regions", JSONB),
    Column("bad_sealed", LargeBinary),
    Column("done_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("batch_id", "seq"),
    CheckConstraint("state IN ('staged', 'done')", name="state"),
    CheckConstraint("(state = 'staged') = (sealed IS NOT NULL)", name="sealed_while_staged"),
)
"""Some hundred rows of a file, sealed until they are done; done in one transaction with what they bring about, so a
kill repeats nothing and loses nothing. ``bad_sealed`` keeps the refused rows, masked, with a reason each."""

batch_upload = Table(
    "cards_batch_upload",
    metadata,
    Column("upload_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("institution_id", Text),
    Column("tag", Text),
    Column("file_name", Text, nullable=False),
    Column("preview", JSONB, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("upload_id"),
    Index("ix_cards_batch_upload_made_at", "made_at"),
)
"""A file whose columns its uploader still has to choose, for an hour. ``preview`` holds headings and masked samples."""

batch_upload_block = Table(
    "cards_batch_upload_block",
    metadata,
    Column("upload_id", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("upload_id", "seq"),
)
"""The bytes of such a file, a sealed megabyte each."""

batch_mapping = Table(
    "cards_batch_mapping",
    metadata,
    Column("holder", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("columns", JSONB, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("holder", "kind"),
)
"""Which heading means what in an institution's files (``platform``: the province's own), as somebody chose last."""

tag = Table(
    "cards_tag",
    metadata,
    Column("vuid", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("region_code", Text, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True)),
    PrimaryKeyConstraint("vuid", "tag"),
    Index("ix_cards_tag_tag", "tag", "region_code"),
)
"""重点人群标签 (贫困人口, ...): who was on a list, in which county (GB/T 2260; ``000000``: the list did not say)."""
