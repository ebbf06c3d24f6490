"""Every route of the person index."""

from __future__ import annotations

from yimatong.empi.cancelling.endpoints import ROUTES as CANCELLING
from yimatong.empi.identifiers.endpoints import ROUTES as IDENTIFIERS
from yimatong.empi.merges.endpoints import ROUTES as MERGES
from yimatong.empi.registration.endpoints import ROUTES as REGISTRATION
from yimatong.empi.search.endpoints import ROUTES as SEARCH
from yimatong.empi.statistics.endpoints import ROUTES as STATISTICS
from yimatong.empi.subscriptions.endpoints import ROUTES as SUBSCRIPTIONS

ROUTES = [*CANCELLING, *IDENTIFIERS, *MERGES, *REGISTRATION, *SEARCH, *STATISTICS, *SUBSCRIPTIONS]
