"""The hospital's system is told: signed, in order, once more as often as it takes, and never booked twice."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import pytest
from sqlalchemy import text

from yimatong.access import callers as registered
from yimatong.access.callers import Institution
from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Relay
from yimatong.payments import settlement, webhooks
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Scene

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)


@pytest.fixture
async def his(desk, world):
    """Hospital 1's simulated HIS, registered on both sides with one secret."""
    secret = secrets.token_bytes(32)
    path = "/his/hospital-1/notifications"
    async with desk.db.transaction() as connection:
        hospital = Institution(
            institution_id="hospital-1", name="医院", kind="hospital", org_code="435628013", region_code="610100"
        )
        await registered.add_institution(connection, hospital, now=clock.now())
        await registered.enrol(
            connection,
            desk.vault,
            caller_id="his-1",
            kind="institution",
            name="HIS",
            institution_id="hospital-1",
            secret=secret,
            now=clock.now(),
            webhook_url=world.url + path,
        )

    async def control(path: str = "", body: object = None):
        return await asyncio.to_thread(world.control, f"/control/his/hospital-1{path}", body)

    await control(body={"caller_id": "his-1", "secret_hex": secret.hex()})
    return control


async def test_told_when_it_was_down_and_booked_once_when_its_answer_was_lost(desk, place, account, said, his) -> None:
    order_no = await place()
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await settlement.settle(desk.db, await account(), said(begun.attempt_no), cause="query", now=clock.now())
    async with Outbound(read_s=2.0) as outbound:
        relay = Relay(desk.db, webhooks.handlers(desk.db, desk.vault, outbound))

        async def turn(after_s: int) -> dict[str, int]:
            await relay.deliver_due(now=clock.now() + timedelta(seconds=after_s))
            states = text("SELECT state, count(*) FROM kit_outbox WHERE topic = 'payments.order_paid' GROUP BY state")
            async with desk.db.read() as connection:
                return {row[0]: int(row[1]) for row in await connection.execute(states)}

        await his("/behaviour", {"state": "down"})
        assert (await turn(0))["pending"] == 1
        assert "delivered" not in await turn(0)
        await his("/behaviour", {"state": "up", "lost_answers": 1})
        assert (await turn(60))["pending"] == 1
        assert await turn(60) == {"delivered": 1}
    bookings = await his("/booked")
    assert [(each["event"]["order_no"], each["event"]["event"], each["deliveries"]) for each in bookings] == [
        (order_no, "order_paid", 2)
    ]
