"""HTTP of channel health."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from yimatong.access.edge import Call, documented
from yimatong.payments.health import queries
from yimatong.payments.health.schemas import ChannelsHealth


@get(
    "/api/v1/channels/health",
    permission="orders:read",
    responses=documented(ChannelsHealth, status=200),
)
async def read_health(call: NamedDependency[Call]) -> ChannelsHealth:
    """支付渠道健康状况. How one's own merchant accounts answer: success, latency, whether the cashier hides them."""
    return await call.read(lambda tx: queries.of(tx, scope=call.caller.scope, now=call.now))


ROUTES = [read_health]
