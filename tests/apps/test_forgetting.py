"""What the worker forgets by the clock, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest

from yimatong.apps import schedule
from yimatong.apps.assembly import assemble
from yimatong.kit import clock, outbox
from yimatong.kit.settings import Settings


@pytest.mark.usefixtures("secrets_of")
def test_delivered_messages_stay_as_long_as_the_settings_say(
    settings: Settings, database_url: str, run_async: Callable[..., Any]
) -> None:
    """More than one transaction's worth is forgotten in one run; young, waiting and parked messages stay."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM kit_outbox")
        connection.execute(
            "INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, state, next_at, delivered_at)"
            " SELECT 'nobody', n::text, '{}', now(), 'delivered', now(),"
            " now() - CASE WHEN n <= 7 THEN interval '1 day' ELSE interval '3 days' END"
            " FROM generate_series(1, %s) n",
            [outbox.FORGET_ROWS + 17],
        )
        connection.execute(
            "INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, state, next_at)"
            " SELECT 'nobody', s, '{}', now() - interval '1 year', s, 'infinity'"
            " FROM unnest(ARRAY['pending', 'parked']) s"
        )

        async def forget() -> int:
            parts = assemble(msgspec.structs.replace(settings, outbox_keep_days=2))
            try:
                return await schedule.forget_delivered(parts, now=clock.now())
            finally:
                await parts.close()

        assert run_async(forget()) == outbox.FORGET_ROWS + 10
        rows = connection.execute("SELECT state, count(*) FROM kit_outbox GROUP BY state ORDER BY state").fetchall()
        assert rows == [("delivered", 7), ("parked", 1), ("pending", 1)]
        connection.execute("DELETE FROM kit_outbox")
