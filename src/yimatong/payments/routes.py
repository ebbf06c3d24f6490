"""Every route of the payments room."""

from __future__ import annotations

from yimatong.payments.cashier.endpoints import ROUTES as CASHIER
from yimatong.payments.notices.endpoints import ROUTES as NOTICES
from yimatong.payments.orders.endpoints import ROUTES as ORDERS
from yimatong.payments.refunds.endpoints import ROUTES as REFUNDS

ROUTES = [*ORDERS, *CASHIER, *REFUNDS, *NOTICES]
