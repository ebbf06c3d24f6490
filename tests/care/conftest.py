"""The core on loopback with two hospitals, its outside world, and residents whose codes one of them verified."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from care_world import Ward, client, settings, ward  # noqa: F401
from core_world import HOSPITAL, core_url, merchant, new_resident, resident, secrets_of, world  # noqa: F401
from core_world import settings as plain_settings  # noqa: F401

from yimatong.cards.models import code_record
from yimatong.kit import clock
from yimatong_sdk import Client


@pytest.fixture(scope="module")
def clients(client: Callable[[str], Client]) -> dict[str, Client]:  # noqa: F811
    return {name: client(name) for name in ("his-1", "his-2", "app-1", "app-2", "term-1", "term-2")}


@pytest.fixture
def verified(database) -> Callable[..., object]:
    """A verification of a resident's code, as the cards room records it."""

    async def make(institution_id: str = HOSPITAL, *, at=None) -> SimpleNamespace:
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
