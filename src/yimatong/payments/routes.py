"""Every route of the payments room."""

from __future__ import annotations

from yimatong.payments.agreements.endpoints import ROUTES as AGREEMENTS
from yimatong.payments.cashier.endpoints import ROUTES as CASHIER
from yimatong.payments.deliveries.endpoints import ROUTES as DELIVERIES
from yimatong.payments.health.endpoints import ROUTES as HEALTH
from yimatong.payments.legs.endpoints import ROUTES as LEGS
from yimatong.payments.notices.endpoints import ROUTES as NOTICES
from yimatong.payments.orders.endpoints import ROUTES as ORDERS
from yimatong.payments.receipts.endpoints import ROUTES as RECEIPTS
from yimatong.payments.refunds.endpoints import ROUTES as REFUNDS
from yimatong.payments.scanning.endpoints import ROUTES as SCANNING
from yimatong.payments.service_channels.endpoints import ROUTES as SERVICES
from yimatong.payments.two_in_one.endpoints import ROUTES as TWO_IN_ONE

ROUTES = [
    *ORDERS,
    *CASHIER,
    *LEGS,
    *AGREEMENTS,
    *SCANNING,
    *TWO_IN_ONE,
    *REFUNDS,
    *RECEIPTS,
    *NOTICES,
    *SERVICES,
    *DELIVERIES,
    *HEALTH,
]
