"""A batch that was started in the console: its worker is killed with SIGKILL in the middle, another goes on."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from core_world import make_resident

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import assemble
from yimatong.cards.batches import service
from yimatong.cards.batches.service import Options
from yimatong.cli.platform import LocalPlatform
from yimatong.kit import clock
from yimatong.kit.settings import Settings

PEOPLE = 6000
REVIVED_S = 150.0
"""A worker that sends no sign of life counts as dead after half a minute; then the loop of the next one comes round."""


async def started(settings: Settings, path: Path) -> str:
    """Take in the list and queue the batch as the console does."""
    parts = assemble(settings)
    try:
        wanted = Options(kind="residents")
        taken = await service.receive(
            parts.db, parts.vault, path, wanted, file_name=path.name, made_by="clerk", now=clock.now()
        )
        async with parts.db.transaction() as tx:
            await service.start(tx, taken.batch_id, scope=PLATFORM, now=clock.now(), queue=True)
    finally:
        await parts.close()
    return taken.batch_id


def wait(look: Callable[[], Any], *, for_s: float) -> Any:
    deadline = time.monotonic() + for_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_worker_killed_in_the_middle(data_folder: Path) -> None:
    people = {(each := make_resident()).id_number: each for _ in range(PEOPLE)}
    path = data_folder / "list.csv"
    lines = [f"{each.name},{each.id_number},{each.phone}" for each in people.values()]
    path.write_text("\n".join(["姓名,身份证号,手机号", *lines, ""]), encoding="utf-8")
    platform = LocalPlatform(data_folder)
    try:
        platform.start(["worker"], seed=False)
        url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
        with psycopg.connect(url, autocommit=True) as connection:

            def count(query: str) -> tuple[Any, ...]:
                return connection.execute(query).fetchone() or ()

            batch_id = asyncio.run(started(platform.settings, path))
            done = "SELECT count(*) FROM cards_batch_chunk WHERE state = 'done'"
            assert wait(lambda: count(done)[0], for_s=60)
            platform.kill("worker")
            half = count(done)[0]
            assert 0 < half < PEOPLE / 500
            assert count("SELECT state FROM cards_batch") == ("running",)
            platform.restart("worker")
            end = "SELECT count(*) FROM cards_batch WHERE state = 'done'"
            assert wait(lambda: count(end)[0], for_s=REVIVED_S), count(done)
            events = (
                "SELECT count(*), count(DISTINCT vuid) FROM cards_account_event WHERE request_id = '" + batch_id + "'"
            )
            assert count(events) == (len(people), len(people))
            assert count("SELECT sum(opened), sum(known), sum(bad) FROM cards_batch_chunk") == (len(people), 0, 0)
            told = "SELECT count(*) FROM cards_registry_resident WHERE vuid IS NOT NULL"
            assert wait(lambda: count(told) == (len(people),), for_s=60), count(told)
    finally:
        platform.stop()
