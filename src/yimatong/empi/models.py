"""Tables of the person index."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from yimatong.kit.db import metadata

person = Table(
    "empi_person",
    metadata,
    Column("mpi", Uuid, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("name_tokens", ARRAY(BigInteger), nullable=False),
    Column("sex", Text, nullable=False),
    Column("birth_date", Date, nullable=False),
    Column("region_code", Text),
    Column("state", Text, nullable=False, server_default="live"),
    Column("current_mpi", Uuid),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("sex IN ('0', '1', '2', '9')", name="sex"),
    CheckConstraint("state IN ('live', 'cancelled', 'retired')", name="state"),
    CheckConstraint("(state = 'retired') = (current_mpi IS NOT NULL)", name="retired_points_on"),
    Index("ix_empi_person_name_tokens", "name_tokens", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
)
"""人索引. Name, numbers, phone and address are one sealed blob; sex (GB/T 2261.1), birth date and region stay clear."""

certificate = Table(
    "empi_certificate",
    metadata,
    Column("id_type", Text, nullable=False),
    Column("id_blind", LargeBinary, nullable=False),
    Column("mpi", Uuid, nullable=False, index=True),
    Column("claimed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id_type", "id_blind"),
)
"""One certificate, one person: this row is taken first, and its conflict decides every race."""

contribution = Table(
    "empi_contribution",
    metadata,
    Column("mpi", Uuid, nullable=False),
    Column("contribution_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("real_name_method", Text, nullable=False),
    Column("real_name_level", SmallInteger, nullable=False),
    Column("real_name_at", DateTime(timezone=True), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("mpi", "contribution_id"),
)
"""What each provider said of a person, with its real-name mark (实名制标识); kept for ever."""
