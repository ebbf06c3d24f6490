"""An independent client of the simulated WeChat Pay: the SDK that merchants use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType

from yimatong.sandbox.local import Enrolled, LocalWorld


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


def sdk_of(enrolled: Enrolled, url: str) -> WeChatPay:
    made = WeChatPay(
        WeChatPayType.NATIVE,
        enrolled.mchid,
        enrolled.private_key_pem,
        enrolled.serial_no,
        enrolled.appid,
        enrolled.api_v3_key,
        notify_url="http://127.0.0.1:9/notify",
        public_key=enrolled.platform_public_key_pem,
        public_key_id=enrolled.platform_key_id,
        timeout=(3, 10),
    )
    made._core._gate_way = url
    return made


@pytest.fixture(scope="module")
def sdk(world) -> WeChatPay:
    return sdk_of(world.enrol(mchid="1900000109", appid="wx8888888888888888"), world.url)


@pytest.fixture
def stranger(world) -> WeChatPay:
    """A client whose key nobody enrolled, under the enrolled merchant's number."""
    other = world.enrol(mchid="1900000200", appid="wx2")
    made = sdk_of(other, world.url)
    made._core._mchid = "1900000109"
    return made
