"""A simulated outside world on loopback, a merchant in it, and our adapter; real HTTP between them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount, PaymentIntent, Scene
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.sandbox.local import Enrolled, LocalWorld

sys.path.insert(0, str(Path(__file__).parent))

MCHID, APPID = "1900000109", "wx8888888888888888"


def account_of(enrolled: Enrolled) -> ChannelAccount:
    return ChannelAccount(
        account_id="account-1",
        institution_id="hospital-1",
        channel="wechat",
        merchant_id=enrolled.mchid,
        app_id=enrolled.appid,
        secrets={
            "private_key_pem": Secret(enrolled.private_key_pem),
            "serial_no": Secret(enrolled.serial_no),
            "api_v3_key": Secret(enrolled.api_v3_key),
            "platform_key_id": Secret(enrolled.platform_key_id),
            "platform_public_key_pem": Secret(enrolled.platform_public_key_pem),
        },
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="module")
def enrolled(world) -> Enrolled:
    return world.enrol(mchid=MCHID, appid=APPID)


@pytest.fixture(scope="module")
def account(enrolled) -> ChannelAccount:
    return account_of(enrolled)


@pytest.fixture(autouse=True)
def _calm(world) -> Iterator[None]:
    yield
    world.control("/control/wechat/faults", {})
    world.control("/control/wechat/conditions", {"refund_settles_s": 0.05})


@pytest.fixture
async def channel(world) -> AsyncIterator[WeChatPay]:
    async with Outbound(read_s=1.0) as outbound:
        yield WeChatPay(outbound, world.url)


@pytest.fixture
def intent() -> Callable[..., PaymentIntent]:
    def make(attempt_no: str, amount_fen: int = 1234, scene: Scene = Scene.NATIVE, **more: object) -> PaymentIntent:
        facts: dict[str, object] = {
            "attempt_no": attempt_no,
            "amount_fen": amount_fen,
            "description": "门诊缴费",
            "expires_at": clock.now() + timedelta(minutes=30),
            "notify_url": "http://127.0.0.1:9/notify",
            "scene": scene,
            "placed_at": clock.now(),
            "payer_id": "oPayer",
        }
        return PaymentIntent(**(facts | more))

    return make


@pytest.fixture
def post(world) -> Callable[..., object]:
    """Call the control port without holding the event loop."""

    async def call(path: str, body: object = None) -> object:
        return await asyncio.to_thread(world.control, f"/control/wechat/{path}", body)

    return call
