"""A simulated WeChat Pay on loopback with two merchants, and the payments desk that uses it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.vault import Vault
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.desk import Desk
from yimatong.sandbox.local import LocalWorld

sys.path.insert(0, str(Path(__file__).parent))  # the tests of this room share ``made``

PASSPHRASE = "a passphrase of the tests"
MERCHANTS = {"hospital-1": "1900000109", "hospital-2": "1900000110"}


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keystore.json"
    SoftDevice.create_demonstration(path, PASSPHRASE)
    return path


@pytest.fixture(scope="module")
def vault(keystore: Path) -> Vault:
    return Vault(SoftDevice.open(keystore, PASSPHRASE, production=False), issuer="610000")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="module")
async def desk(database: Database, vault: Vault, world: LocalWorld) -> AsyncIterator[Desk]:
    async with Outbound(read_s=3) as outbound:
        made = Desk(
            db=database,
            vault=vault,
            channels={"wechat": WeChatPay(outbound, world.url)},
            notify_base="http://127.0.0.1:9",  # nobody listens: these tests ask instead
            web_base="http://web.test",
        )
        for institution_id, mchid in MERCHANTS.items():
            enrolled = await asyncio.to_thread(world.enrol, mchid=mchid, appid="wx8888888888888888")
            names = ("private_key_pem", "serial_no", "api_v3_key", "platform_key_id", "platform_public_key_pem")
            account = ChannelAccount(
                account_id=f"wechat-{institution_id}",
                institution_id=institution_id,
                channel="wechat",
                merchant_id=mchid,
                app_id=enrolled.appid,
                secrets={name: Secret(getattr(enrolled, name)) for name in names},
            )
            async with database.transaction() as connection:
                await accounts.put_account(connection, vault, account, now=clock.now())
        yield made
