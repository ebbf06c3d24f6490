"""Persons, their certificates, and what providers said of them."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
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
    Column("search_tokens", ARRAY(BigInteger), nullable=False),
    Column("sex", Text, nullable=False),
    Column("birth_date", Date),
    Column("region_code", Text),
    Column("marital", Text),
    Column("state", Text, nullable=False, server_default="live"),
    Column("current_mpi", Uuid),
    Column("deceased_on", Date),
    Column("cancelled_at", DateTime(timezone=True)),
    Column("cancel_reason", Text),
    Column("compared_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("sex IN ('0', '1', '2', '9')", name="sex"),
    CheckConstraint("state IN ('live', 'cancelled', 'retired')", name="state"),
    CheckConstraint("(state = 'retired') = (current_mpi IS NOT NULL)", name="retired_points_on"),
    CheckConstraint("(cancelled_at IS NULL) = (cancel_reason IS NULL)", name="cancelled_for_a_reason"),
    CheckConstraint("cancel_reason IN ('death', 'error', 'duplicate', 'other')", name="cancel_reason"),
    Index(
        "ix_empi_person_search_tokens", "search_tokens", postgresql_using="gin", postgresql_with={"fastupdate": "off"}
    ),
    Index("ix_empi_person_birth_date", "birth_date"),
    Index("ix_empi_person_to_compare", "created_at", postgresql_where=text("compared_at IS NULL AND state = 'live'")),
    Index("ix_empi_person_current_mpi", "current_mpi", postgresql_where=text("current_mpi IS NOT NULL")),
)
"""人索引, the golden record. Name, numbers, phone and address are one sealed blob.

Sex (GB/T 2261.1), birth date, region (GB/T 2260) and marital status (GB/T 2261.2) stay clear for statistics; a birth
date that no provider said is empty.

``current_mpi`` is one step long: a retired id leads straight to the person of today. ``compared_at`` is empty until the
person was compared with everybody else whom the blocking finds.
"""

certificate = Table(
    "empi_certificate",
    metadata,
    Column("id_type", Text, nullable=False),
    Column("id_blind", LargeBinary, nullable=False),
    Column("mpi", Uuid, nullable=False, index=True),
    Column("claimed_at", DateTime(timezone=True), nullable=False),
    Column("replaced_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("id_type", "id_blind"),
)
"""One certificate, one person: this row is taken first, and its conflict decides every race. A certificate that was
replaced by another (``replaced_at``) stays its holder's: registering with it still finds her."""

domain_entry = Table(
    "empi_domain_entry",
    metadata,
    Column("mpi", Uuid, nullable=False),
    Column("domain_id", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("entry_key", LargeBinary, nullable=False),
    Column("birth_date_estimated", Boolean, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("entered_at", DateTime(timezone=True), nullable=False),
    Column("identified_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("domain_id"),
    CheckConstraint("kind IN ('newborn', 'unidentified', 'no_certificate')", name="kind"),
    CheckConstraint("state IN ('open', 'identified')", name="state"),
    Index("uq_empi_domain_entry_key", "domain", "entry_key", unique=True),
    Index("ix_empi_domain_entry_mpi", "mpi"),
)
"""域索引: somebody who cannot be identified by a valid certificate, in the domain (institution) that entered her.
``entry_key`` is the keyed hash of what the institution knows her by: the same again is the same entry."""

contribution = Table(
    "empi_contribution",
    metadata,
    Column("mpi", Uuid, nullable=False),
    Column("contribution_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="registration"),
    Column("domain", Text),
    Column("source_blind", LargeBinary),
    Column("current", Boolean, nullable=False, server_default=text("true")),
    Column("sealed", LargeBinary, nullable=False),
    Column("sex", Text),
    Column("birth_date", Date),
    Column("real_name_method", Text, nullable=False),
    Column("real_name_level", SmallInteger, nullable=False),
    Column("real_name_at", DateTime(timezone=True), nullable=False),
    Column("real_name_trace", Text, nullable=False, server_default=""),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("mpi", "contribution_id"),
    CheckConstraint("kind IN ('registration', 'correction', 'feed', 'national')", name="kind"),
    CheckConstraint("(domain IS NULL) = (source_blind IS NULL)", name="source_in_a_domain"),
    Index(
        "uq_empi_contribution_source",
        "domain",
        "source_blind",
        unique=True,
        postgresql_where=text("current AND source_blind IS NOT NULL"),
    ),
)
"""What each provider said of a person, with its real-name mark (实名制标识); kept for ever.

A source record is a number of a provider in its identifier domain (``domain``, ``source_blind``); of its statements one
is ``current`` and stands under one person: that is held by the unique index. ``kind``: ``registration`` a resident was
registered, ``correction`` a proven change, ``feed`` a hospital's own record, ``national`` sent down to us.
``real_name_trace`` is the number under which an outside party answered, empty for the other proofs.
"""
