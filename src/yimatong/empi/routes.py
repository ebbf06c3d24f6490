"""Every route of the person index."""

from __future__ import annotations

from yimatong.empi.statistics.endpoints import ROUTES as STATISTICS

ROUTES = [*STATISTICS]
