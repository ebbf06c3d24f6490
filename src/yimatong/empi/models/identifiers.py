"""Identifier domains (标识域), media (卡索引) and the relation between persons and both (人卡关系交叉索引)."""

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
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.append_only import append_only
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
    Column("reusable", Boolean, nullable=False, server_default=text("false")),
    Column("valid_days", Integer),
    Column("trusted", ARRAY(Text), nullable=False, server_default=text("'{}'")),
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

Standard domains and those of institutions and regions hold without a row (``identifiers.catalogue``); a row stands here
once somebody changed one, and for every domain that an operator made.
"""

identifier_domain_version = Table(
    "empi_identifier_domain_version",
    metadata,
    Column("code", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("rules", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("code", "version"),
)
"""Every version of a domain's rules, by whom and why: a number is judged by the rules of its day."""

append_only(identifier_domain_version)

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
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("medium_id"),
    CheckConstraint("status IN ('active', 'frozen', 'lost', 'replaced', 'cancelled')", name="status"),
    Index("ix_empi_medium_number", "kind", "number_blind"),
    Index("ix_empi_medium_chip", "chip_blind", postgresql_where=text("chip_blind IS NOT NULL")),
)
"""卡索引: one card or certificate: its number, type, chip number, status and issuer (guiding plan 5.2.5.2).

``kind`` is the code of the domain that its number is of. ``medium_id`` is the id that its own registry knows it by: the
registry decides which of several cards with one number is in force, this index repeats it. ``version`` is the card's
that was told last: what is told late changes nothing.
"""

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
    Index("ix_empi_identifier_ended", "domain", "number_blind", postgresql_where=text("state = 'ended'")),
    Index("ix_empi_identifier_mpi", "mpi"),
    Index("ix_empi_identifier_medium", "medium_id", postgresql_where=text("medium_id IS NOT NULL")),
)
"""人卡关系交叉索引: which person a number of a domain stands for. A number has one active person: the index holds it.

``mpi`` is the person whom the number was entered for; whom it stands for today is her ``current_mpi``. The number is
sealed, and found by a keyed blind that holds its domain.
"""
