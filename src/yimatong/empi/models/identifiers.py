"""Identifier domains (标识域), media (卡索引) and the relation between persons and both (人卡关系交叉索引)."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from yimatong.kit.db import metadata

identifier_domain = Table(
    "empi_identifier_domain",
    metadata,
    Column("code", Text, nullable=False),
    Column("oid", Text, unique=True),
    Column("kind", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("id_type", Text),
    Column("card_type", Text),
    Column("institution_id", Text),
    Column("region_code", Text),
    Column("format", Text, nullable=False, server_default=""),
    Column("check_rule", Text, nullable=False, server_default=""),
    Column("one_per_person", Boolean, nullable=False, server_default=text("false")),
    Column("valid_days", Integer),
    Column("state", Text, nullable=False, server_default="active"),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("code"),
    CheckConstraint("kind IN ('certificate', 'card', 'visit_card', 'source', 'region', 'national')", name="kind"),
    CheckConstraint("state IN ('active', 'suspended')", name="state"),
    Index("ix_empi_identifier_domain_institution", "institution_id"),
)
"""标识域: who issues a kind of number, and the rules that a number must keep.

``kind``: ``certificate`` (id card, officer card, returned-overseas certificate ...; ``id_type`` by WS 364.3
CV02.01.101), ``card`` (social card and kin), ``visit_card`` (就诊卡: a card type of one institution), ``source`` (the
record numbers of a provider's own system), ``region`` (a regional platform's ids), ``national``. ``oid`` is its object
identifier in HL7 and FHIR. ``format`` is a regular expression, ``check_rule`` the name of a check digit rule.
"""

medium = Table(
    "empi_medium",
    metadata,
    Column("medium_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("number_blind", LargeBinary, nullable=False),
    Column("number_sealed", LargeBinary, nullable=False),
    Column("chip_blind", LargeBinary),
    Column("chip_sealed", LargeBinary),
    Column("status", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("issued_on", Date),
    Column("valid_to", Date),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("medium_id"),
    UniqueConstraint("kind", "number_blind"),
    CheckConstraint("status IN ('active', 'lost', 'replaced', 'cancelled')", name="status"),
    Index("ix_empi_medium_chip", "chip_blind", postgresql_where=text("chip_blind IS NOT NULL")),
)
"""卡索引: one card or certificate: its number, type, chip number, status and issuer (guiding plan 5.2.5.2)."""

identifier = Table(
    "empi_identifier",
    metadata,
    Column("relation_id", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("number_blind", LargeBinary, nullable=False),
    Column("number_sealed", LargeBinary, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("medium_id", Text),
    Column("application_domain", Text, nullable=False, server_default=""),
    Column("provider", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="active"),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_reason", Text),
    PrimaryKeyConstraint("relation_id"),
    CheckConstraint("state IN ('active', 'ended')", name="state"),
    CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended"),
    Index(
        "uq_empi_identifier_active", "domain", "number_blind", unique=True, postgresql_where=text("state = 'active'")
    ),
    Index("ix_empi_identifier_mpi", "mpi"),
    Index("ix_empi_identifier_medium", "medium_id", postgresql_where=text("medium_id IS NOT NULL")),
)
"""人卡关系交叉索引: which person a number of a domain stands for. A number has one active person: the index holds it.

``mpi`` is the person whom the number was entered for; whom it stands for today is her ``current_mpi``. The number is
sealed, and found by a keyed blind that holds its domain.
"""

visit_card = Table(
    "empi_visit_card",
    metadata,
    Column("institution_id", Text, nullable=False),
    Column("number_blind", LargeBinary, nullable=False),
    Column("number_sealed", LargeBinary, nullable=False),
    Column("mpi", Uuid, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("institution_id", "number_blind"),
    Index("ix_empi_visit_card_mpi", "mpi"),
)
"""就诊卡交叉索引: which person a visit card number stands for in its institution. The number is sealed and blinded."""
