"""The fixtures that put the made-up province on a loopback port; shared by ``tests/web`` and ``tests/browser``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cashier_world import address_settings
from stage import PASSWORD, Stage

from yimatong.apps import web
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.kit.settings import Addresses, Settings
from yimatong.sandbox.local import LocalWorld

__all__ = ["PASSWORD", "Stage", "stage", "web_url"]


@pytest.fixture(scope="module")
def stage(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, run_async: Callable[..., object]
) -> Iterator[Stage]:
    data = tmp_path_factory.mktemp("data")
    keystore = data / "keystore.json"
    SoftDevice.create_demonstration(keystore, "a passphrase of the tests")
    with LocalWorld(data / "sandbox") as world:
        made = Stage(
            Settings(
                data=data,
                database_url=database_url,
                keystore=keystore,
                keystore_passphrase="a passphrase of the tests",
                web_session_key="5a" * 32,
                addresses=Addresses(sandbox=world.url, sandbox_control=world.control_url),
                **address_settings(world),
            ),
            world,
        )
        run_async(made.build())
        yield made


@pytest.fixture(scope="module")
def web_url(stage: Stage, serve: Callable[[object], str]) -> str:
    return serve(lambda: web.build(stage.settings))
