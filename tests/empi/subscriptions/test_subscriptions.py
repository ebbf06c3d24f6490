"""Subscribers are told everything they may be told, once they asked, in order per person, whatever fails."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from news_world import NOW, OPEN, Index
from receiver import Receiver
from sqlalchemy import text

from yimatong.access.errors import WebhookAddressRefused
from yimatong.empi.errors import (
    PersonNotFound,
    SubscriptionIncomplete,
    SubscriptionNotAllowed,
    SubscriptionNotFound,
    SubscriptionOver,
)
from yimatong.empi.events import queries as reading
from yimatong.empi.events.service import Change
from yimatong.empi.subscriptions import queries, service, tasks
from yimatong.kit import outbox
from yimatong.kit.db import raw
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Relay


async def fan_out(index: Index) -> int:
    done = 0
    while some := await tasks.fan_out(index.db, now=NOW):
        done += some
    return done


async def deliver(index: Index, *, turns: int = 1, rounds: int = 500) -> dict[str, int]:
    """Give the relay as many rounds as it needs to come to rest (or so many), the clock running ahead."""
    async with Outbound(read_s=2.0) as outbound:
        relay = Relay(index.db, tasks.handlers(index.db, index.vault, outbound, OPEN))
        for turn in range(turns):
            for _ in range(rounds):
                if not await relay.deliver_due(now=NOW + timedelta(days=3650, hours=turn)):
                    break
    async with index.db.read() as tx:
        return await outbox.counts(tx)


async def test_who_may_subscribe_to_what(index: Index, receiver: Receiver) -> None:
    hers, strangers = await index.person(), await index.person(provider="inst-2")
    url = receiver.url
    made = await index.subscribe(scope="person", mpi_ref=await index.ref(hers), url=url)
    again = await index.subscribe(scope="person", mpi_ref=await index.ref(hers), url=url)
    assert made == again
    assert made.mpi_ref == await index.ref(hers)
    refused: tuple[tuple[type[Exception], dict[str, Any]], ...] = (
        (SubscriptionNotAllowed, {"scope": "person", "mpi_ref": await index.ref(strangers)}),
        (PersonNotFound, {"scope": "person", "mpi_ref": await index.ref(uuid4())}),
        (SubscriptionNotAllowed, {"scope": "all"}),
        (SubscriptionNotAllowed, {"scope": "domain", "domain": "certificate:01"}),
        (SubscriptionNotAllowed, {"scope": "domain", "domain": "visit-card:inst-2:01"}),
        (SubscriptionIncomplete, {"scope": "person"}),
        (SubscriptionIncomplete, {"scope": "all", "mpi_ref": "0" * 32}),
        (WebhookAddressRefused, {"scope": "person", "mpi_ref": await index.ref(hers), "url": "ftp://x.example/"}),
    )
    for error, facts in refused:
        with pytest.raises(error):
            await index.subscribe(**{"url": url} | facts)
    said = await index.person(provider="app-1")  # stated without proof: nobody's record
    with pytest.raises(SubscriptionNotAllowed):
        await index.subscribe(caller=index.app, scope="person", mpi_ref=await index.ref(said, index.app), url=url)
    assert (await index.subscribe(scope="all", url=url, to_all=("his-1",))).scope == "all"
    own = await index.subscribe(scope="domain", domain="visit-card:inst-1:01", url=url)
    assert own.domain == "visit-card:inst-1:01"
    with pytest.raises(SubscriptionNotFound):
        async with index.db.transaction() as tx:
            await service.end(tx, index.vault, own.subscription_id, caller=index.app, now=NOW)


async def test_told_in_order_per_person_while_the_receiver_fails(index: Index, receiver: Receiver) -> None:
    people = [await index.person() for _ in range(5)]
    await index.subscribe(scope="all", url=receiver.url, to_all=("his-1",))
    for version in range(1, 9):
        await index.change(*(Change(mpi, "updated", "inst-1", version) for mpi in people))
    hand = random.Random(7)
    receiver.fails = lambda _body: hand.random() < 0.4
    assert await fan_out(index) == 40
    await deliver(index, turns=2)
    receiver.fails = lambda _body: False
    assert await deliver(index, turns=3) == {"delivered": 40}
    told = defaultdict(list)
    for each in receiver.taken:
        told[each["mpi_ref"]].append(each["version"])
    assert dict(told) == {await index.ref(mpi): list(range(1, 9)) for mpi in people}
    for body, _ in receiver.seen:
        assert set(body) == {
            *("message_id", "subscription_id", "event", "mpi_ref", "other_mpi_ref", "domain", "version", "at")
        }
        assert not any(mpi.hex in str(body).replace("-", "") for mpi in people)


async def test_planted_fault_without_order_is_found(
    index: Index, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an ordering key for each message a later one overtakes one that failed: the test above would see it."""
    write_many = outbox.write_many

    async def unordered(connection: Any, messages: Any, *, now: Any) -> None:
        loose = [(topic, f"{key}:{uuid4()}", body) for topic, key, body in messages]
        await write_many(connection, loose, now=now)

    monkeypatch.setattr(outbox, "write_many", unordered)
    mpi = await index.person()
    await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url=receiver.url)
    await index.change(*(Change(mpi, "updated", "inst-1", version) for version in range(1, 6)))
    failed: set[int] = set()

    def first_fails(body: dict[str, Any]) -> bool:
        new = body["version"] == 1 and 1 not in failed
        failed.add(body["version"])
        return new

    receiver.fails = first_fails
    await fan_out(index)
    await deliver(index, turns=3)
    assert [each["version"] for each in receiver.taken] != [1, 2, 3, 4, 5]


async def test_a_commit_that_comes_late_is_told_too(index: Index) -> None:
    assert await late_commit(index) == 2


async def test_planted_fault_reading_above_the_horizon_is_found(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reading, "_READ", reading._READ.replace("AND c.txid < pg_snapshot_xmin(pg_current_snapshot())", "")
    )
    assert await late_commit(index) == 1


async def test_order_is_that_of_numbers_where_their_length_grows(index: Index) -> None:
    """Transaction ids are numbers: 10000 comes after 9999, whatever their texts say."""
    mpi = await index.person()
    async with index.db.transaction() as tx:
        for txid in ("9", "10", "99", "100"):
            await tx.execute(
                text(
                    "INSERT INTO empi_change (txid, mpi, kind, provider, version, at)"
                    " VALUES (cast(:t AS xid8), :m, 'updated', 'x', :v, :now)"
                ),
                {"t": txid, "m": mpi, "v": int(txid), "now": NOW},
            )
    async with index.db.read() as tx:
        found = await reading.after(await raw(tx), reading.START, limit=10)
    assert [each.version for each in found] == [9, 10, 99, 100]


async def late_commit(index: Index) -> int:
    """Note two changes, the first of which is committed last; return how many messages there are in the end."""
    mpi = await index.person()
    await index.subscribe(scope="all", url="http://127.0.0.1:9/", to_all=("his-1",))
    async with index.db.transaction() as slow:
        await index.note(slow, Change(mpi, "updated", "inst-1", 1))
        await index.change(Change(mpi, "updated", "inst-1", 2))
        await fan_out(index)
    await fan_out(index)
    async with index.db.read() as tx:
        rows = await tx.execute(text("SELECT payload->>'version' FROM kit_outbox ORDER BY id"))
        versions = [row[0] for row in rows]
    assert versions == sorted(versions)
    return len(versions)


WORKER = """
import asyncio, sys
from yimatong.access.webhooks import Destinations
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.vault import Vault
from yimatong.empi.subscriptions import tasks
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import Relay
from pathlib import Path

async def main(url, keystore):
    db, vault = Database(url), Vault(SoftDevice.open(Path(keystore), "p", production=False), issuer="610000")
    relay = Relay(db, tasks.handlers(db, vault, Outbound(), Destinations(production=False)))
    print("up", flush=True)
    while True:
        done = await tasks.fan_out(db, now=clock.now())
        done += await relay.deliver_due(now=clock.now(), most=5)
        if not done:
            await asyncio.sleep(0.02)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_nothing_is_lost_or_told_out_of_order_when_the_worker_is_killed(
    index: Index, receiver: Receiver, database_url: str, keystore: Path
) -> None:
    people = [await index.person() for _ in range(4)]
    await index.subscribe(scope="all", url=receiver.url, to_all=("his-1",))
    hand, version = random.Random(3), 0
    for _ in range(4):
        worker = subprocess.Popen(  # noqa: ASYNC220 -- our own worker, to be killed
            [sys.executable, "-c", WORKER, database_url, str(keystore)], stdout=subprocess.PIPE, env=os.environ.copy()
        )
        assert worker.stdout is not None
        await asyncio.to_thread(worker.stdout.readline)
        until = time.monotonic() + 0.1 + hand.random() * 0.25
        while time.monotonic() < until:
            version += 1
            await index.change(*(Change(mpi, "updated", "inst-1", version) for mpi in people))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    await fan_out(index)
    counts = await deliver(index, turns=3)
    assert counts == {"delivered": 4 * version}  # one message a change, whatever was killed
    told = defaultdict(list)
    for each in receiver.taken:
        told[each["mpi_ref"]].append(each["version"])
    assert dict(told) == {await index.ref(mpi): list(range(1, version + 1)) for mpi in people}


async def test_subscribers_of_a_retired_person_follow_the_survivor(index: Index, receiver: Receiver) -> None:
    retired, survivor, other = [await index.person() for _ in range(3)]
    for mpi in (retired, other):
        await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url=receiver.url)
    await index.merge(retired, survivor)
    await index.change(Change(survivor, "updated", "inst-1", 3))
    await fan_out(index)
    await deliver(index)
    assert [(each["event"], each["mpi_ref"], each["other_mpi_ref"]) for each in receiver.taken] == [
        ("merged", await index.ref(retired), await index.ref(survivor)),
        ("updated", await index.ref(survivor), ""),
    ]


async def test_events_and_domains_are_chosen(index: Index, receiver: Receiver) -> None:
    mpi, stranger = await index.person(), await index.person()
    domain = "visit-card:inst-1:01"
    await index.subscribe(scope="domain", domain=domain, events=("linked", "cancelled"), url=receiver.url)
    await index.change(Change(mpi, "linked", "inst-1", 2, domain=domain), Change(mpi, "updated", "inst-1", 3))
    await index.change(Change(stranger, "cancelled", "inst-1", 2), Change(stranger, "linked", "x", 3, domain="other"))
    async with index.db.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO empi_identifier (relation_id, domain, number_blind, number_sealed, mpi, provider, since)"
                " VALUES ('rel_1', :d, 'x', 'x', :m, 'inst-1', :now)"
            ),
            {"d": domain, "m": mpi, "now": NOW},
        )
    await index.change(Change(mpi, "cancelled", "inst-1", 4))
    await fan_out(index)
    await deliver(index)
    assert [(each["event"], each["version"]) for each in receiver.taken] == [("linked", 2), ("cancelled", 4)]


async def test_another_institutions_domain_is_not_named(index: Index, receiver: Receiver) -> None:
    """That she got a number of another hospital says where she is treated: told is that something was linked."""
    mpi = await index.person()
    await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url=receiver.url)
    domains = ("visit-card:inst-2:01", "visit-card:inst-1:01", "source:inst-2", "certificate:01")
    for version, domain in enumerate(domains, 2):
        await index.change(Change(mpi, "linked", "inst-2", version, domain=domain))
    await fan_out(index)
    await deliver(index)
    assert [each["domain"] for each in receiver.taken] == ["", "visit-card:inst-1:01", "", "certificate:01"]
    assert "inst-2" not in str(receiver.seen)


async def test_a_pause_loses_nothing(index: Index, receiver: Receiver) -> None:
    mpi = await index.person()
    made = await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url=receiver.url)
    other = await index.subscribe(scope="all", url=receiver.url, to_all=("his-1",), events=("cancelled",))

    async def turn(verb: Any) -> str:
        async with index.db.transaction() as tx:
            found = await verb(tx, index.vault, made.subscription_id, caller=index.his, now=NOW)
        return str(found.state)

    await index.change(Change(mpi, "updated", "inst-1", 1))
    await fan_out(index)
    assert await turn(service.pause) == "paused"
    assert await turn(service.pause) == "paused"
    for version in range(2, 6):
        await index.change(Change(mpi, "updated", "inst-1", version))
        await fan_out(index)
    await deliver(index)
    assert [each["version"] for each in receiver.taken] == [1]
    assert await tasks.forget_changes(index.db, keep_days=0, now=NOW + timedelta(days=1)) == 1
    assert await turn(service.resume) == "active"
    assert await turn(service.resume) == "active"
    await index.change(Change(mpi, "updated", "inst-1", 6))
    await fan_out(index)
    await deliver(index)
    assert [each["version"] for each in receiver.taken] == [1, 2, 3, 4, 5, 6]
    assert {each["subscription_id"] for each in receiver.taken} == {made.subscription_id} != {other.subscription_id}
    assert await tasks.forget_changes(index.db, keep_days=0, now=NOW + timedelta(days=1)) == 5


async def test_changes_wait_for_every_reader(index: Index) -> None:
    mpi = await index.person()
    await index.change(*(Change(mpi, "updated", "inst-1", version) for version in range(4)))
    async with index.db.transaction() as tx:
        assert await reading.take(await raw(tx), "national", now=NOW) == reading.START
    await fan_out(index)
    later = NOW + timedelta(days=400)
    assert await tasks.forget_changes(index.db, keep_days=90, now=later) == 0
    async with index.db.transaction() as tx:
        inside = await raw(tx)
        some = await reading.after(inside, reading.START, limit=3)
        await reading.move(inside, "national", some[-1].place, now=NOW)
    assert await tasks.forget_changes(index.db, keep_days=500, now=later) == 0
    assert await tasks.forget_changes(index.db, keep_days=90, now=later) == 3


async def test_what_was_ended_is_told_no_more(index: Index, receiver: Receiver) -> None:
    mpi = await index.person()
    made = await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url=receiver.url)
    await index.change(Change(mpi, "updated", "inst-1", 1))
    await fan_out(index)
    async with index.db.transaction() as tx:
        ended = await service.end(tx, index.vault, made.subscription_id, caller=index.his, now=NOW)
        assert ended.state == "ended"
        with pytest.raises(SubscriptionOver):
            await service.resume(tx, index.vault, made.subscription_id, caller=index.his, now=NOW)
    await index.change(Change(mpi, "updated", "inst-1", 2))
    await fan_out(index)
    assert await deliver(index) == {"delivered": 1}
    assert receiver.taken == []
    async with index.db.read() as tx:
        shown = await queries.page(tx, index.vault, caller=index.his, limit=10)
    assert [each.state for each in shown.subscriptions] == ["ended"]


async def test_a_suspended_subscriber_is_not_told(index: Index, receiver: Receiver) -> None:
    mpi = await index.person()
    await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url=receiver.url)
    await index.change(Change(mpi, "updated", "inst-1", 1))
    await fan_out(index)
    async with index.db.transaction() as tx:
        await tx.execute(text("UPDATE access_caller SET state = 'suspended' WHERE caller_id = 'his-1'"))
    assert await deliver(index, rounds=2) == {"pending": 1}
    async with index.db.transaction() as tx:
        await tx.execute(text("UPDATE access_caller SET state = 'approved' WHERE caller_id = 'his-1'"))
    assert await deliver(index, turns=3) == {"delivered": 1}
    assert len(receiver.taken) == 1


async def test_parked_after_a_day_and_told_when_replayed(index: Index, receiver: Receiver) -> None:
    mpi = await index.person()
    await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url=receiver.url)
    await index.change(Change(mpi, "updated", "inst-1", 1))
    await fan_out(index)
    receiver.fails = lambda _body: True
    async with index.db.transaction() as tx:
        await tx.execute(text("UPDATE kit_outbox SET attempts = 18"))
    assert await deliver(index) == {"parked": 1}
    receiver.fails = lambda _body: False
    async with index.db.transaction() as tx:
        (stuck,) = await outbox.parked(tx)
        assert stuck.last_error == "ACC-4001"
        assert await outbox.replay(tx, stuck.id, now=NOW)
    assert await deliver(index) == {"delivered": 1}


async def test_fhir_waits_for_its_gateway(index: Index) -> None:
    mpi = await index.person()
    await index.subscribe(scope="person", mpi_ref=await index.ref(mpi), url="http://127.0.0.1:9/", payload="fhir-json")
    await index.change(Change(mpi, "updated", "inst-1", 1))
    await fan_out(index)
    assert await deliver(index) == {"pending": 1}
    async with index.db.read() as tx:
        assert (await tx.execute(text("SELECT topic FROM kit_outbox"))).scalar_one() == service.PERSON_CHANGED_FHIR
