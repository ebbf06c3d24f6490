"""Tables of service channels, and of what was told to whom."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB

from yimatong.kit.db import metadata
from yimatong.payments.models.columns import moment

service_channel = Table(
    "payments_service_channel",
    metadata,
    Column("service_channel_id", Text, primary_key=True),
    Column("institution_id", Text),
    Column("caller_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("merchant_no", Text, nullable=False, unique=True),
    Column("keys_sealed", LargeBinary, nullable=False),
    Column("terminals", JSONB, nullable=False, server_default=sql("'[]'")),
    Column("channels", JSONB, nullable=False, server_default=sql("'[]'")),
    Column("notify_url", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False, server_default="active"),
    moment("previous_until", nullable=True),
    moment("created_at"),
    moment("updated_at"),
    CheckConstraint(
        "kind IN ('ios', 'android', 'wechat_account', 'mini_program', 'alipay_account', 'web', 'his_window', 'kiosk')",
        name="kind",
    ),
    CheckConstraint("state IN ('active', 'off')", name="state"),
    Index("ix_payments_service_channel_institution", "institution_id"),
)
"""线上服务渠道: where payments start. ``channels``: the payment channels it takes, empty for all of the hospital's.

``keys_sealed``: the merchant key, the one before it, and the terminals' keys, as sealed JSON. The key before counts
until ``previous_until``. ``terminals``: number, name, and whether their orders need a proof.
"""

delivery = Table(
    "payments_delivery",
    metadata,
    Column("order_no", Text, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("topic", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    Column("took_ms", Integer, nullable=False),
    moment("at"),
    PrimaryKeyConstraint("order_no", "message_id", "attempt"),
)
"""One try to tell a hospital's system or a service channel of an order; ``status`` is its HTTP answer, 0 for none."""

account_change = Table(
    "payments_account_change",
    metadata,
    Column("approval_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False, index=True),
    Column("institution_id", Text, nullable=False),
    Column("change", JSONB, nullable=False),
    Column("secrets_sealed", LargeBinary, nullable=False),
    Column("based_on", LargeBinary, nullable=False),
    moment("created_at"),
)
"""What a proposed change of a merchant account would do, until it is decided; its new secrets are sealed JSON.

``based_on`` is the digest of the account as it was: a proposal never undoes what was changed meanwhile.
"""
