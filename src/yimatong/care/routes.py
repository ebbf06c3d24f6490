"""Every route of the care room."""

from __future__ import annotations

from yimatong.care.bills.endpoints import ROUTES as BILLS
from yimatong.care.visits.endpoints import ROUTES as VISITS

ROUTES = [*VISITS, *BILLS]
