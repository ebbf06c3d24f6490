"""Every route of the care room."""

from __future__ import annotations

from yimatong.care.admissions.endpoints import ROUTES as ADMISSIONS
from yimatong.care.bills.endpoints import ROUTES as BILLS
from yimatong.care.booking.endpoints import ROUTES as BOOKING
from yimatong.care.payables.endpoints import ROUTES as PAYABLES
from yimatong.care.prescriptions.endpoints import ROUTES as PRESCRIPTIONS
from yimatong.care.visits.endpoints import ROUTES as VISITS

ROUTES = [*BOOKING, *VISITS, *BILLS, *PRESCRIPTIONS, *ADMISSIONS, *PAYABLES]
