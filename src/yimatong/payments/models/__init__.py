"""Tables of the payments room. ``order_no`` is the distribution key of everything that hangs on an order."""

from __future__ import annotations

from yimatong.payments.models.agreements import agreement
from yimatong.payments.models.channels import channel_account, notice
from yimatong.payments.models.health import channel_health, health_minute
from yimatong.payments.models.ledger import ledger_entry, ledger_transaction
from yimatong.payments.models.orders import attempt, history, leg, order, refund, refund_item
from yimatong.payments.models.preferences import preference
from yimatong.payments.models.receipts import receipt, stay
from yimatong.payments.models.services import account_change, delivery, service_channel
from yimatong.payments.models.tokens import token

__all__ = [
    "account_change",
    "agreement",
    "attempt",
    "channel_account",
    "channel_health",
    "delivery",
    "health_minute",
    "history",
    "ledger_entry",
    "ledger_transaction",
    "leg",
    "notice",
    "order",
    "preference",
    "receipt",
    "refund",
    "refund_item",
    "service_channel",
    "stay",
    "token",
]
