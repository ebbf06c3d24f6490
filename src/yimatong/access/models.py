"""Tables of the access room."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from yimatong.kit.db import metadata

institution = Table(
    "access_institution",
    metadata,
    Column("institution_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("org_code", Text, nullable=False, unique=True),
    Column("region_code", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
"""接入机构: hospital, community centre, village clinic, public-health body."""

caller = Table(
    "access_caller",
    metadata,
    Column("caller_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("institution_id", Text, ForeignKey("access_institution.institution_id"), index=True),
    Column("state", Text, nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("switched_off", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("through_front", SmallInteger, nullable=False, server_default=text("0")),
    Column("webhook_url", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("kind IN ('app', 'institution', 'terminal', 'front')", name="kind"),
    CheckConstraint("state IN ('draft', 'submitted', 'approved', 'returned', 'suspended', 'revoked')", name="state"),
    CheckConstraint("kind = 'app' OR kind = 'front' OR institution_id IS NOT NULL", name="institution"),
)
"""调用方: what signs requests. ``switched_off`` lists permissions of its kind that were taken away."""

request_nonce = Table(
    "access_request_nonce",
    metadata,
    Column("caller_id", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("caller_id", "nonce"),
)
"""Nonces seen inside the time-stamp window; older ones are removed by the worker."""

idempotency = Table(
    "access_idempotency",
    metadata,
    Column("caller_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("caller_id", "key"),
)
"""First answer to a write, by caller and key; sealed, because answers carry personal data."""

operator = Table(
    "access_operator",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("institution_id", Text, ForeignKey("access_institution.institution_id")),
    Column("password_salt", LargeBinary, nullable=False),
    Column("password_hash", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default="active"),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "cardinality(roles) = 1 OR NOT roles && ARRAY['system_admin', 'security_admin', 'audit_admin']",
        name="three_roles_apart",
    ),
)
"""操作员. The check is 三员分立 held by the database (GB/T 22239-2019 8.1.4.2 d)."""

session = Table(
    "access_session",
    metadata,
    Column("token_digest", LargeBinary, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
"""A browser's session: an operator's (``console``), or one resident's page opened by a link (``card``, ``cashier``)."""

approval = Table(
    "access_approval",
    metadata,
    Column("approval_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="proposed"),
    Column("proposer_id", Text, ForeignKey("access_operator.operator_id"), nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("approver_id", Text, ForeignKey("access_operator.operator_id")),
    Column("decided_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('proposed', 'approved', 'rejected')", name="state"),
    CheckConstraint("approver_id IS NULL OR approver_id <> proposer_id", name="two_persons"),
    CheckConstraint("(state = 'proposed') = (approver_id IS NULL)", name="decided_by_somebody"),
)
"""Propose / approve for everything that needs two persons."""

key_ceremony = Table(
    "access_key_ceremony",
    metadata,
    Column("approval_id", Text, ForeignKey("access_approval.approval_id"), primary_key=True),
    Column("state", Text, nullable=False, server_default="open"),
    Column("version", SmallInteger),
    Column("failure", Text, nullable=False, server_default=""),
    Column("done_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('open', 'running', 'done', 'failed')", name="state"),
    CheckConstraint("(state IN ('done', 'failed')) = (done_at IS NOT NULL)", name="ended"),
    Index("uq_access_key_ceremony_running", "state", unique=True, postgresql_where=text("state = 'running'")),
)
"""How far the crypto device is with an approved change of keys; one runs at a time. ``version``: the one it makes."""

key_ceremony_part = Table(
    "access_key_ceremony_part",
    metadata,
    Column("approval_id", Text, ForeignKey("access_key_ceremony.approval_id"), nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("operator_id", Text, ForeignKey("access_operator.operator_id"), nullable=False),
    Column("kcv", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("approval_id", "part"),
    UniqueConstraint("approval_id", "operator_id"),
)
"""Who brought which component of a key, by its check value; the component itself is in the device alone."""

key_ledger = Table(
    "access_key_ledger",
    metadata,
    Column("usage", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("kcv", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("usage", "version"),
)
"""What the device said of its keys after each ceremony: a device put back to an older state contradicts it."""

resealing = Table(
    "access_resealing",
    metadata,
    Column("place", Text, primary_key=True),
    Column("version", SmallInteger, nullable=False),
    Column("mark", JSONB),
    Column("resealed", Integer, nullable=False, server_default=text("0")),
    Column("walked", Integer, nullable=False, server_default=text("0")),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("moved_at", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
)
"""How far the re-sealing of a place under a new data key is: ``mark`` is the last row key that was passed."""
