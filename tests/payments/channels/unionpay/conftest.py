"""A merchant at the simulated UnionPay, and our adapter; real HTTP between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import msgspec
import pytest

from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount, PaymentIntent, Scene
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.sandbox.local import LocalWorld
from yimatong.sandbox.unionpay.control import Certificates
from yimatong.sandbox.unionpay.enrol import Enrolled, merchant_keys

MER_ID = "777290058110048"


def account_of(enrolled: Enrolled, **profile: str) -> ChannelAccount:
    return ChannelAccount(
        account_id="account-1",
        institution_id="hospital-1",
        channel="unionpay",
        merchant_id=enrolled.merchant.mer_id,
        app_id="",
        secrets={name: Secret(value) for name, value in enrolled.secrets().items()},
        profile=enrolled.profile() | profile,
    )


def enrol(world: LocalWorld, mer_id: str, sign_method: str = "01") -> Enrolled:
    merchant, private_key_pem = merchant_keys(mer_id=mer_id, name="模拟医院", sign_method=sign_method)
    shown = world.control("/control/unionpay/merchants", msgspec.to_builtins(merchant))
    return Enrolled(merchant=merchant, private_key_pem=private_key_pem, certificates=Certificates(**shown))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="session")
def enrolled(world) -> Enrolled:
    return enrol(world, MER_ID)


@pytest.fixture(scope="session")
def account(enrolled) -> ChannelAccount:
    return account_of(enrolled)


@pytest.fixture(autouse=True)
def _calm(world) -> Iterator[None]:
    yield
    world.control("/control/unionpay/faults", {})
    world.control("/control/unionpay/conditions", {"refund_settles_s": 0.05})


@pytest.fixture
async def channel(world) -> AsyncIterator[UnionPay]:
    async with Outbound(read_s=1.0) as outbound:
        yield UnionPay(outbound, f"{world.url}/unionpay/gateway/api", f"{world.url}/unionpay/files")


@pytest.fixture
def intent() -> Callable[..., PaymentIntent]:
    def make(attempt_no: str, amount_fen: int = 1234, scene: Scene = Scene.NATIVE, **more: object) -> PaymentIntent:
        facts: dict[str, object] = {
            "attempt_no": attempt_no,
            "amount_fen": amount_fen,
            "description": "门诊缴费",
            "placed_at": clock.now(),
            "expires_at": clock.now() + timedelta(minutes=30),
            "notify_url": "http://127.0.0.1:9/notify",
            "scene": scene,
        }
        return PaymentIntent(**(facts | more))

    return make


@pytest.fixture
def post(world) -> Callable[..., object]:
    """Call the control port without holding the event loop."""

    async def call(path: str, body: object = None) -> object:
        return await asyncio.to_thread(world.control, f"/control/unionpay/{path}", body)

    return call
