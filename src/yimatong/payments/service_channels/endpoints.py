"""HTTP of service channels: their owners read them; the platform's own people administer them."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access.edge import Call, documented
from yimatong.payments.errors import ServiceChannelNotFound
from yimatong.payments.service_channels import queries
from yimatong.payments.service_channels.schemas import ServiceChannel, ServiceChannels


@get(
    "/api/v1/service-channels",
    permission="orders:read",
    responses=documented(ServiceChannels, status=200),
)
async def list_service_channels(call: NamedDependency[Call]) -> ServiceChannels:
    """服务渠道列表. List one's own service channels, without any key."""
    return await call.read(lambda tx: queries.of(tx, scope=call.caller.scope))


@get(
    "/api/v1/service-channels/{service_channel_id:str}",
    permission="orders:read",
    responses=documented(ServiceChannel, ServiceChannelNotFound, status=200),
)
async def read_service_channel(service_channel_id: FromPath[str], call: NamedDependency[Call]) -> ServiceChannel:
    """查询服务渠道. Read one of one's own service channels."""
    return await call.read(lambda tx: queries.find(tx, service_channel_id, scope=call.caller.scope))


ROUTES = [list_service_channels, read_service_channel]
