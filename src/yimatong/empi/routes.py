"""Every route of the person index."""

from __future__ import annotations

from yimatong.empi.identifiers.endpoints import ROUTES as IDENTIFIERS
from yimatong.empi.registration.endpoints import ROUTES as REGISTRATION
from yimatong.empi.statistics.endpoints import ROUTES as STATISTICS

ROUTES = [*IDENTIFIERS, *REGISTRATION, *STATISTICS]
