"""The outbox: written with what it tells of, delivered after it, in order per key, never dropped."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text

from yimatong.kit import clock, outbox
from yimatong.kit.db import Database
from yimatong.kit.errors import PartyUnreachable
from yimatong.kit.models import outbox as table
from yimatong.kit.outbox import SCHEDULE_S, Message, Relay


@pytest.fixture(autouse=True)
async def db(database: Database) -> Database:
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE kit_outbox"))
    return database


async def write(db: Database, *messages: tuple[str, str], topic: str = "t", now: datetime | None = None) -> list[int]:
    async with db.transaction() as connection:
        return [
            await outbox.write(
                connection, topic=topic, ordering_key=key, payload={"name": name}, now=now or clock.now()
            )
            for key, name in messages
        ]


async def row(db: Database, message_id: int) -> tuple[str, int, datetime, str | None]:
    async with db.read() as connection:
        found = (await connection.execute(select(table).where(table.c.id == message_id))).one()
    return found.state, found.attempts, found.next_at, found.last_error


class Receiver:
    """Takes messages, or fails those whose names are in ``failing``."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.taken = set(failing), list[str]()

    async def __call__(self, message: Message) -> None:
        if message.payload["name"] in self.failing:
            raise PartyUnreachable(party="a hospital")
        self.taken.append(message.payload["name"])


async def test_delivered_in_order_per_key_and_keys_do_not_wait_for_each_other(db: Database) -> None:
    await write(db, ("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"))
    receiver = Receiver()
    relay = Relay(db, {"t": receiver})
    rounds = []
    while await relay.deliver_due(now=clock.now()):
        rounds.append(sorted(receiver.taken))
    assert rounds == [["a1", "b1"], ["a1", "a2", "b1"], ["a1", "a2", "a3", "b1"]]


async def test_a_rolled_back_message_never_was(db: Database) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with db.transaction() as connection:
            await outbox.write(connection, topic="t", ordering_key="a", payload={}, now=clock.now())
            raise ZeroDivisionError
    assert await Relay(db, {"t": Receiver()}).deliver_due(now=clock.now()) == 0


async def test_a_failure_is_tried_again_on_schedule_and_holds_its_key_back(db: Database) -> None:
    first, second = await write(db, ("a", "bad"), ("a", "next"))
    receiver = Receiver("bad")
    relay = Relay(db, {"t": receiver})
    assert await relay.deliver_due(now=clock.now()) == 1
    state, attempts, next_at, cause = await row(db, first)
    assert (state, attempts, cause) == ("pending", 1, "KIT-5002")
    assert timedelta(0) < next_at - clock.now() <= timedelta(seconds=SCHEDULE_S[0])
    assert await relay.deliver_due(now=clock.now()) == 0
    receiver.failing.clear()
    later = clock.now() + timedelta(seconds=5)
    assert await relay.deliver_due(now=later) == 1
    assert await relay.deliver_due(now=later) == 1
    assert receiver.taken == ["bad", "next"]
    assert (await row(db, second))[0] == "delivered"


async def test_parked_after_the_last_try_and_replayed_by_hand(db: Database) -> None:
    (message_id,) = await write(db, ("a", "bad"))
    receiver = Receiver("bad")
    relay = Relay(db, {"t": receiver})
    pauses = []
    for _ in range(len(SCHEDULE_S) + 1):
        assert await relay.deliver_due(now=clock.now() + timedelta(days=2)) == 1
        state, _, next_at, _ = await row(db, message_id)
        pauses.append(round((next_at - clock.now()).total_seconds()))
    assert state == "parked"
    assert pauses[:-1] == pytest.approx(SCHEDULE_S, abs=1)
    assert sum(SCHEDULE_S) >= 24 * 3600
    assert await relay.deliver_due(now=clock.now() + timedelta(days=9)) == 0
    async with db.transaction() as connection:
        assert await outbox.counts(connection) == {"parked": 1}
        assert await outbox.replay(connection, message_id, now=clock.now())
        assert not await outbox.replay(connection, message_id, now=clock.now())
    receiver.failing.clear()
    assert await relay.deliver_due(now=clock.now()) == 1
    assert (await row(db, message_id))[0] == "delivered"


async def test_a_parked_message_does_not_hold_its_key_back(db: Database) -> None:
    first, _ = await write(db, ("a", "bad"), ("a", "next"))
    async with db.transaction() as connection:
        await connection.execute(text("UPDATE kit_outbox SET state = 'parked' WHERE id = :id"), {"id": first})
    receiver = Receiver()
    assert await Relay(db, {"t": receiver}).deliver_due(now=clock.now()) == 1
    assert receiver.taken == ["next"]


async def test_a_crash_between_claim_and_delivery_gives_the_message_back(db: Database) -> None:
    await write(db, ("a", "one"))

    class Crash(BaseException):
        pass

    async def crash(message: Message) -> None:
        raise Crash

    with pytest.raises(Crash):
        await Relay(db, {"t": crash}).deliver_due(now=clock.now())
    receiver = Receiver()
    relay = Relay(db, {"t": receiver})
    assert await relay.deliver_due(now=clock.now() + timedelta(seconds=30)) == 0
    assert await relay.deliver_due(now=clock.now() + timedelta(seconds=61)) == 1
    assert receiver.taken == ["one"]


async def test_two_relays_at_once_deliver_once(db: Database, database_url: str) -> None:
    import asyncio

    await write(db, *((f"k{number}", f"n{number}") for number in range(30)))
    other = Database(database_url)
    receiver = Receiver()
    now = clock.now()
    relays = [Relay(db, {"t": receiver}), Relay(other, {"t": receiver})]
    while sum(await asyncio.gather(*(relay.deliver_due(now=now) for relay in relays))):
        pass
    await other.close()
    assert sorted(receiver.taken) == sorted(f"n{number}" for number in range(30))


async def test_a_topic_without_a_handler_stays_in_sight(db: Database) -> None:
    (message_id,) = await write(db, ("a", "one"), topic="unknown")
    assert await Relay(db, {"t": Receiver()}).deliver_due(now=clock.now()) == 0
    assert (await row(db, message_id))[:2] == ("pending", 0)


async def _states(db: Database) -> list[tuple[str, int]]:
    query = "SELECT state, count(*) FROM kit_outbox GROUP BY state ORDER BY state"
    async with db.read() as connection:
        return [(row[0], row[1]) for row in await connection.execute(text(query))]


async def test_what_was_delivered_long_ago_is_forgotten_in_bounded_steps(db: Database) -> None:
    """Waiting and parked messages stay, however old."""
    now = clock.now()
    async with db.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, state, next_at, delivered_at)"
                " SELECT 't', n::text, '{}', now(), s, now(), CASE WHEN s = 'delivered' THEN d END"
                " FROM generate_series(1, 25) n, unnest(ARRAY['delivered', 'pending', 'parked']) s,"
                " unnest(ARRAY[now() - interval '8 days', now() - interval '6 days']) d"
            )
        )
    forgotten = []
    while not forgotten or forgotten[-1]:
        async with db.transaction() as connection:
            forgotten.append(await outbox.forget(connection, before=now - timedelta(days=7), most=10))
    assert forgotten == [10, 10, 5, 0]
    assert await _states(db) == [("delivered", 25), ("parked", 50), ("pending", 50)]


async def test_forgetting_reads_its_own_index(db: Database) -> None:
    async with db.transaction() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(text(f"EXPLAIN {outbox._FORGET.text}"), {"before": clock.now(), "most": 10})
        assert "ix_kit_outbox_delivered" in "\n".join(plan.scalars())
