"""The core on loopback with two hospitals, and residents whose codes were verified at one of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from yimatong.access import callers
from yimatong.access.callers import Institution
from yimatong.apps import core
from yimatong.apps.assembly import assemble
from yimatong.cards.models import code_record
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.kit import clock
from yimatong.kit.settings import Settings
from yimatong_sdk import Client

PASSPHRASE = "a passphrase of the tests"


@pytest.fixture(scope="module")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data = tmp_path_factory.mktemp("data")
    SoftDevice.create_demonstration(data / "keystore.json", PASSPHRASE)
    return Settings(
        data=data,
        database_url=database_url,
        keystore=data / "keystore.json",
        keystore_passphrase=PASSPHRASE,
        web_session_key="00" * 32,
    )


@pytest.fixture(scope="module")
def clients(settings: Settings, serve, run_async) -> Iterator[dict[str, Client]]:
    made = {"his-1": secrets.token_hex(32), "his-2": secrets.token_hex(32), "app-1": secrets.token_hex(32)}

    async def enrol() -> None:
        parts = assemble(settings)
        async with parts.db.transaction() as connection:
            for number, org_code in (("1", "435628013"), ("2", "43562802X")):
                found = Institution(
                    institution_id=f"h{number}", name="医院", kind="hospital", org_code=org_code, region_code="610100"
                )
                await callers.add_institution(connection, found, now=clock.now())
            for caller_id, secret in made.items():
                kind = "app" if caller_id.startswith("app") else "institution"
                await callers.enrol(
                    connection,
                    parts.vault,
                    caller_id=caller_id,
                    kind=kind,
                    name=caller_id,
                    institution_id=None if kind == "app" else f"h{caller_id[-1]}",
                    secret=bytes.fromhex(secret),
                    now=clock.now(),
                )
        await parts.close()

    run_async(enrol())
    url = serve(lambda: core.build(settings))
    opened = {name: Client(url, caller_id=name, secret_hex=secret, retries=0) for name, secret in made.items()}
    yield opened
    for each in opened.values():
        each.close()


@pytest.fixture
def verified(database) -> Callable[..., object]:
    """A verification of a resident's code, as the cards room records it."""

    async def make(institution_id: str = "h1", *, at=None) -> SimpleNamespace:
        found = SimpleNamespace(record_id=f"rec_{secrets.token_hex(8)}", vuid=secrets.token_hex(32).upper())
        async with database.transaction() as connection:
            await connection.execute(
                code_record.insert().values(
                    record_id=found.record_id,
                    vuid=found.vuid,
                    at=at or clock.now(),
                    event="verified",
                    result="ok",
                    purpose="visit",
                    institution_id=institution_id,
                    caller_id="term-1",
                    code_kind="dynamic",
                    request_id="req-1",
                )
            )
        return found

    return make
