"""Which payment channels there are: one entry each, by the name that accounts carry."""

from __future__ import annotations

from collections.abc import Callable

from yimatong.kit.http import Outbound
from yimatong.kit.settings import Settings
from yimatong.payments.channels.base import PaymentChannel
from yimatong.payments.channels.wechat.channel import WeChatPay


def _wechat(outbound: Outbound, settings: Settings) -> PaymentChannel:
    return WeChatPay(outbound, settings.wechat_base_url)


CHANNELS: dict[str, Callable[[Outbound, Settings], PaymentChannel]] = {"wechat": _wechat}
