"""Tables of the care room. A visit keeps the VUID; whom it stands for now is resolved on read, never copied."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata

visit = Table(
    "care_visit",
    metadata,
    Column("institution_id", Text, nullable=False),
    Column("visit_no", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="clinic"),
    Column("vuid", Text, nullable=False),
    Column("verification_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("doctor", Text, nullable=False),
    Column("visited_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default="registered"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("institution_id", "visit_no"),
    UniqueConstraint("institution_id", "verification_id"),
    CheckConstraint("state IN ('booked', 'registered', 'finished', 'cancelled')", name="state"),
    CheckConstraint("kind IN ('clinic', 'inpatient')", name="kind"),
    Index("ix_care_visit_vuid", "vuid", "visited_at"),
)
"""就诊. ``visit_no`` is the institution's own number; a stay in hospital (住院) is a visit, too.

``booked``: its registration fee is not paid yet. ``cancelled``: nobody paid it in time, the visit was released.
"""

admission = Table(
    "care_admission",
    metadata,
    Column("institution_id", Text, nullable=False),
    Column("admission_no", Text, nullable=False),
    Column("ward", Text, nullable=False),
    Column("bed", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="admitted"),
    Column("settlement_no", Text),
    Column("total_fen", BigInteger),
    Column("used_fen", BigInteger),
    Column("back_fen", BigInteger),
    Column("due_fen", BigInteger),
    Column("settled_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("institution_id", "admission_no"),
    ForeignKeyConstraint(["institution_id", "admission_no"], ["care_visit.institution_id", "care_visit.visit_no"]),
    CheckConstraint("state IN ('admitted', 'settling', 'settled')", name="state"),
    CheckConstraint("state <> 'settled' OR used_fen + due_fen = total_fen", name="adds_up"),
)
"""住院登记. ``admission_no`` is the HIS's own number, and the number of its visit.

Settled: ``total_fen`` is what deposits paid (``used_fen``) and what is still to be paid (``due_fen``); ``back_fen`` of
the deposits went back to their payers. ``settling``: the settlement was asked for; deposits under way are being closed.
"""

bill = Table(
    "care_bill",
    metadata,
    Column("institution_id", Text, nullable=False),
    Column("bill_no", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="clinic"),
    Column("visit_no", Text, nullable=False),
    Column("order_no", Text, nullable=False),
    Column("order_version", Integer, nullable=False, server_default=text("0")),
    Column("description", Text, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="unpaid"),
    Column("paid_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("used_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("app_until", DateTime(timezone=True)),
    Column("paid_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("institution_id", "bill_no"),
    ForeignKeyConstraint(["institution_id", "visit_no"], ["care_visit.institution_id", "care_visit.visit_no"]),
    CheckConstraint("state IN ('unpaid', 'paid', 'partly_refunded', 'refunded', 'expired', 'void')", name="state"),
    CheckConstraint("total_fen > 0", name="total"),
    CheckConstraint("kind IN ('registration', 'clinic', 'prescription', 'deposit', 'inpatient')", name="kind"),
    Index("ix_care_bill_visit", "institution_id", "visit_no"),
)
"""账单. ``bill_no`` is the HIS's own number; ``order_version`` is the newest news from payments that was applied.

``app_until``: a prescription may be paid in an app until then, whatever order it stands in. ``used_fen``: what of a
deposit has paid for the stay. ``void``: it is not to be paid any more (a released visit, a deposit of a settled stay).
"""

prescription_code = Table(
    "care_prescription_code",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("institution_id", Text, nullable=False),
    Column("bill_no", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("institution_id", "bill_no"),
    ForeignKeyConstraint(["institution_id", "bill_no"], ["care_bill.institution_id", "care_bill.bill_no"]),
)
"""处方缴费码. Only the SM3 of the printed text is kept; printing it again replaces the row, so the old slip is dead."""

code_guess = Table(
    "care_code_guess",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("number", Integer, nullable=False),
    Column("throttled_until", DateTime(timezone=True)),
)
"""Who asked for prescription codes that are none: a caller, or a caller and a resident. Written on failures only."""
