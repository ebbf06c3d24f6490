"""The core on a loopback port, with the callers of two institutions and two apps, over a database of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import httpx
import pytest

from yimatong.access import callers
from yimatong.access.callers import Institution
from yimatong.apps import core
from yimatong.apps.assembly import assemble
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.kit.settings import Addresses, Settings
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.local import LocalWorld
from yimatong_sdk import Client

APPID = "wx8888888888888888"
HOSPITAL = "inst-h1"
OTHER = "inst-h2"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="module")
def settings(database_url: str, world: LocalWorld, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data = tmp_path_factory.mktemp("data")
    keystore = data / "keystore.json"
    SoftDevice.create_demonstration(keystore, "a passphrase of the tests")
    return Settings(
        data=data,
        database_url=database_url,
        keystore=keystore,
        keystore_passphrase="a passphrase of the tests",
        web_session_key="00" * 32,
        addresses=Addresses(sandbox=world.url, sandbox_control=world.control_url),
        wechat_base_url=world.url,
        real_name_base_url=world.url + "/realname",
        bank_base_url=world.url + "/bank",
        insurer_base_url=world.url + "/insurer",
        national_base_url=world.url + "/national",
    )


@pytest.fixture(scope="module")
def secrets_of(settings: Settings, run_async: Callable[..., object]) -> dict[str, str]:
    """Enrol the callers and return their secrets in hex, by caller id."""
    made = {
        name: secrets.token_hex(32)
        for name in ("app-1", "app-2", "his-1", "his-2", "term-1", "term-2", "front-1", "front-2")
    }

    async def enrol() -> None:
        parts = assemble(settings)
        async with parts.db.transaction() as connection:
            for institution_id, name, org in ((HOSPITAL, "第一医院", "435628013"), (OTHER, "第二医院", "43562802X")):
                await callers.add_institution(
                    connection,
                    Institution(
                        institution_id=institution_id, name=name, kind="hospital", org_code=org, region_code="610100"
                    ),
                    now=clock.now(),
                )
            for caller_id, secret in made.items():
                kind = {"his": "institution", "term": "terminal"}.get(caller_id.split("-")[0], caller_id.split("-")[0])
                own = {"1": HOSPITAL, "2": OTHER}[caller_id[-1]]
                await callers.enrol(
                    connection,
                    parts.vault,
                    caller_id=caller_id,
                    kind=kind,
                    name=caller_id,
                    institution_id=None if kind == "app" else own,
                    secret=bytes.fromhex(secret),
                    now=clock.now(),
                )
        await parts.close()

    run_async(enrol())
    return made


@pytest.fixture(scope="module")
def core_url(settings: Settings, secrets_of: dict[str, str], serve: Callable[[object], str]) -> str:
    return serve(lambda: core.build(settings))


@pytest.fixture(scope="module")
def client(core_url: str, secrets_of: dict[str, str]) -> Iterator[Callable[[str], Client]]:
    """Return a client of a caller; all are closed with the module."""
    opened: dict[str, Client] = {}

    def of(caller_id: str) -> Client:
        if caller_id not in opened:
            opened[caller_id] = Client(core_url, caller_id=caller_id, secret_hex=secrets_of[caller_id], retries=0)
        return opened[caller_id]

    yield of
    for each in opened.values():
        each.close()


@pytest.fixture
def resident() -> SimpleNamespace:
    """A new resident each time, with a valid identity number of her own."""
    return make_resident()


@pytest.fixture(scope="session")
def new_resident() -> Callable[[], SimpleNamespace]:
    return make_resident


def make_resident(name: str = "张三丰") -> SimpleNamespace:
    from yimatong.standards import id_number

    sequence = f"{secrets.randbelow(499) * 2 + 1:03d}"
    year, month, day = 1950 + secrets.randbelow(50), 1 + secrets.randbelow(12), 1 + secrets.randbelow(28)
    first17 = f"6101{2 + secrets.randbelow(8):02d}{year}{month:02d}{day:02d}{sequence}"
    return SimpleNamespace(
        name=name,
        sex="1",
        birth_date=f"{year}-{month:02d}-{day:02d}",
        id_type="01",
        id_number=first17 + id_number.check_digit(first17),
        phone="13800138000",
    )


@pytest.fixture(scope="module")
def merchant(
    settings: Settings, world: LocalWorld, run_async: Callable[..., object], secrets_of: dict[str, str]
) -> None:
    """Hospital 1 is a merchant of the simulated WeChat Pay."""
    enrolled = world.enrol(mchid="1900000109", appid=APPID)

    async def enter() -> None:
        parts = assemble(settings)
        account = ChannelAccount(
            account_id=f"wechat-{HOSPITAL}",
            institution_id=HOSPITAL,
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
        async with parts.db.transaction() as connection:
            await accounts.put_account(connection, parts.vault, account, now=clock.now())
        await parts.close()

    run_async(enter())


def raw(core_url: str, method: str, path: str, **options: object) -> httpx.Response:
    with httpx.Client(base_url=core_url, trust_env=False) as http:
        return http.request(method, path, **options)
