"""A desk over a real database and a simulated WeChat Pay on loopback; two hospitals, each with its own merchant."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yimatong.access.caller import Caller
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.vault import Vault
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount, ChannelPayment, PaymentStatus
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.desk import Desk
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import Item, NewOrder
from yimatong.sandbox.local import LocalWorld

sys.path.insert(0, str(Path(__file__).parent / "channels"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from notice_routes import notice_routes

APPID = "wx8888888888888888"
MERCHANTS = {"hospital-1": "1900000109", "hospital-2": "1900000110"}
PASSPHRASE = "a passphrase of the tests"


def his(number: int) -> Caller:
    return Caller(caller_id=f"his-{number}", kind="institution", name="HIS", institution_id=f"hospital-{number}")


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keystore.json"
    SoftDevice.create_demonstration(path, PASSPHRASE)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="module")
def vault(keystore: Path) -> Vault:
    return Vault(SoftDevice.open(keystore, PASSPHRASE, production=False), issuer="610000")


@pytest.fixture(scope="module")
def notify_url(world: LocalWorld, keystore: Path, database_url: str, serve: Callable[[object], str]) -> str:
    """The notice routes alone, in a server of their own, as the core mounts them."""

    def build() -> object:
        desk = Desk(
            db=Database(database_url),
            vault=Vault(SoftDevice.open(keystore, PASSPHRASE, production=False), issuer="610000"),
            channels={"wechat": WeChatPay(Outbound(), world.url)},
            notify_base="",
            web_base="",
        )

        return notice_routes(desk)

    return serve(build)


@pytest.fixture(scope="module")
async def desk(database: Database, vault: Vault, world: LocalWorld, notify_url: str) -> AsyncIterator[Desk]:
    async with Outbound(read_s=1.5) as outbound:
        made = Desk(
            db=database,
            vault=vault,
            channels={"wechat": WeChatPay(outbound, world.url)},
            notify_base=notify_url,
            web_base="http://web.test",
        )
        for institution_id, mchid in MERCHANTS.items():
            enrolled = await asyncio.to_thread(world.enrol, mchid=mchid, appid=APPID)
            async with database.transaction() as connection:
                account = ChannelAccount(
                    account_id=f"wechat-{institution_id}",
                    institution_id=institution_id,
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
                await accounts.put_account(connection, vault, account, now=clock.now())
        yield made


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test leaves the simulated world without faults."""
    yield
    if "world" in request.fixturenames and "desk" in request.fixturenames:
        running: LocalWorld = request.getfixturevalue("world")
        running.control("/control/wechat/faults", {})


@pytest.fixture
def control(world: LocalWorld) -> Callable[..., Any]:
    async def call(path: str, body: object = None) -> Any:
        return await asyncio.to_thread(world.control, f"/control/wechat/{path}", body)

    return call


@pytest.fixture
def place(desk: Desk) -> Callable[..., Any]:
    async def make(amount_fen: int = 1234, *, hospital: int = 1, expires_in_s: int = 1800) -> str:
        new = NewOrder(
            source_no=secrets.token_hex(8),
            description="门诊缴费",
            items=[Item(name="西药费", amount_fen=amount_fen)],
            amount_fen=amount_fen,
            expires_in_s=expires_in_s,
        )
        async with desk.db.transaction() as connection:
            placed = await orders.place(connection, new, desk=desk, caller=his(hospital), now=clock.now())
        return placed.order_no

    return make


@pytest.fixture
def account(desk: Desk) -> Callable[..., Any]:
    async def find(hospital: int = 1) -> ChannelAccount:
        async with desk.db.read() as connection:
            return await accounts.by_id(connection, desk.vault, f"wechat-hospital-{hospital}")

    return find


def paid(attempt_no: str, amount_fen: int = 1234, **change: Any) -> ChannelPayment:
    """What the channel of hospital 1 says of a paid attempt."""
    facts: dict[str, Any] = {
        "attempt_no": attempt_no,
        "status": PaymentStatus.SUCCEEDED,
        "merchant_id": MERCHANTS["hospital-1"],
        "app_id": APPID,
        "channel_trade_no": f"T{attempt_no}",
        "amount_fen": amount_fen,
        "paid_at": clock.now(),
    }
    return ChannelPayment(**(facts | change))


@pytest.fixture
def said() -> Callable[..., ChannelPayment]:
    return paid


@pytest.fixture
def callers() -> SimpleNamespace:
    return SimpleNamespace(his=his)
