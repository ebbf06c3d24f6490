"""Upload to the national index: what is said, said once, asked again when in doubt, caught up after an outage."""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from registration_world import bare, new_phone, someone

from yimatong.empi.national import queries, service, tasks


def test_a_new_person_and_her_changes_arrive(national: Any) -> None:
    who = national.register(someone(nation="01", marital="20"))
    national.run()
    (there,) = national.there(who)
    said = there["said"]
    assert (said["name"], said["certificate"], said["birth"]) == (
        who.resident["name"],
        who.resident["id_number"],
        str(who.resident["birth_date"]).replace("-", ""),
    )
    assert (said["phone"], said["address"], said["nation"], said["marital"]) == (
        who.resident["phone"],
        who.resident["address"],
        "01",
        "20",
    )
    (item,) = national.items(who)
    assert (item.state, item.action, item.attempts, item.message_sealed) == ("acknowledged", "add", 1, None)
    number = national.tables.one(
        "SELECT * FROM empi_identifier WHERE domain = 'national:mpi' AND mpi = %s AND state = 'active'", who.mpi
    )
    assert bytes(number.number_blind) == bytes(item.national_blind)
    assert there["national_id"].encode() not in bytes(number.number_sealed)

    phone = new_phone()
    national.say_again(who, phone=phone)
    national.run()
    assert national.there(who)[0]["said"]["phone"] == phone
    assert [each.action for each in national.items(who)] == ["add", "revise"]
    assert [each["interaction"] for each in national.heard(who)] == ["PRPA_IN201311UV02", "PRPA_IN201314UV02"]


def test_what_says_nothing_new_is_not_sent(national: Any) -> None:
    who = national.register()
    national.run()
    national.say_again(who)
    national.say_again(who, occupation="教师")  # not told to the national index
    national.run()
    assert [(each.state, each.action) for each in national.items(who)] == [("acknowledged", "add")]
    assert len(national.heard(who)) == 1


def test_a_lost_answer_is_asked_again_with_the_same_message(national: Any) -> None:
    national.behave(lost_answers=1)
    who = national.register()
    national.run(rounds=1)
    (item,) = national.items(who)
    assert (item.state, item.message_sealed is not None) == ("unknown", True)
    assert who.resident["name"].encode() not in bytes(item.message_sealed)
    national.say_again(who, phone=new_phone())  # waits behind what is under way
    national.run(rounds=1)
    heard = national.heard(who)
    assert heard[0]["times"] == 2
    national.run()
    assert len(national.there(who)) == 1
    assert [(each.state, each.action) for each in national.items(who)] == [
        ("acknowledged", "add"),
        ("acknowledged", "revise"),
    ]
    assert national.there(who)[0]["said"]["phone"] == who.resident["phone"]


def test_a_time_out_is_no_failure_either(national: Any) -> None:
    national.behave(slow_s=1.5)
    who = national.register()
    national.run(rounds=1)
    assert [each.state for each in national.items(who)] == ["unknown"]
    national.behave()
    national.run()
    assert [(each.state, each.attempts) for each in national.items(who)] == [("acknowledged", 2)]
    assert len(national.there(who)) == 1


def test_after_a_week_of_outage_only_the_newest_version_is_sent(national: Any) -> None:
    known = national.register()
    national.run()
    national.behave(state="down")
    fresh = [national.register() for _ in range(3)]
    for _day in range(7):
        national.say_again(known, phone=new_phone())
        national.say_again(fresh[0], address=f"陕西省西安市碑林区友谊路{secrets.randbelow(900) + 1}号")
        national.run(rounds=2, later=timedelta(hours=12))
    stands = national.progress()
    assert (stands.due, stands.sent, stands.unknown) == (4, 0, 0)
    assert national.now - stands.oldest_due > timedelta(days=6)
    national.within(lambda exchange: tasks.watch(exchange, now=national.now))
    alarm = national.tables.one("SELECT * FROM kit_alarm WHERE kind = 'national-behind'")
    assert alarm.detail.startswith("4 due since")

    national.behave()
    national.run()
    for who, messages in ((known, 2), *((each, 1) for each in fresh)):
        assert len(national.heard(who)) == messages
        said = national.there(who)[0]["said"]
        assert (said["phone"], said["address"]) == (who.resident["phone"], who.resident["address"])
    stands = national.progress()
    assert (stands.due, stands.unknown, stands.oldest_due) == (0, 0, None)
    assert not national.within(
        lambda exchange: _watched(exchange, oldest_due=stands.oldest_due, count=0, now=national.now)
    )


async def _watched(exchange: Any, **how: Any) -> bool:
    async with exchange.db.transaction() as connection:
        return await service.watch(connection, **how)


def test_a_refusal_is_shown_by_its_name_and_sent_again_by_hand(national: Any) -> None:
    national.moods(refuse=1, reason="CERTIFICATE")
    who = national.register()
    national.run()
    (item,) = national.items(who)
    assert (item.state, item.reason, item.message_sealed) == ("refused", "CERTIFICATE", None)

    async def shown(exchange: Any) -> Any:
        async with exchange.db.transaction() as connection:
            found = await queries.refused(connection)
            await service.send_again(connection, item.item_id, now=national.now)
            return found

    assert next((each.item_id, each.reason) for each in national.within(shown)) == (item.item_id, "CERTIFICATE")
    national.run()
    assert [each.state for each in national.items(who)] == ["refused", "acknowledged"]
    assert len(national.there(who)) == 1


def test_a_worker_that_died_after_sending_asks_again(national: Any) -> None:
    who = national.register()

    async def claimed_and_sent(exchange: Any) -> None:
        await tasks.note(exchange, now=national.now)
        sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
        async with exchange.db.transaction() as connection:
            (item,) = await service.claim(
                connection, exchange.vault, exchange.names, sealer=sealer, blinder=blinder, limit=9, now=national.now
            )
        await exchange.national.call("PatientRegistryAddRequest", item.message)  # and here it is killed

    national.within(claimed_and_sent)
    assert [each.state for each in national.items(who)] == ["sent"]
    national.run(rounds=1, later=timedelta(seconds=30))
    assert [each.state for each in national.items(who)] == ["sent"], "the lease of the other one"
    national.now += timedelta(minutes=3)
    national.run()
    assert [(each.state, each.attempts) for each in national.items(who)] == [("acknowledged", 2)]
    assert [each["times"] for each in national.heard(who)] == [2]
    assert len(national.there(who)) == 1


def test_one_process_at_a_time(national: Any) -> None:
    async def held(exchange: Any) -> int:
        async with exchange.db.alone(tasks.LOCK) as mine:
            assert mine
            return await tasks.run(exchange, now=national.now)

    national.register()
    assert national.within(held) == 0
    assert sum(national.run()) > 0


def test_the_pace_is_kept(national: Any) -> None:
    waited: list[float] = []

    async def run(exchange: Any) -> None:
        async def sleep(seconds: float) -> None:
            waited.append(seconds)

        slow = type(exchange)(**{name: getattr(exchange, name) for name in exchange.__struct_fields__} | {"per_s": 2.0})
        await tasks.run(slow, now=national.now, sleep=sleep)

    who = [national.register() for _ in range(3)]
    national.within(run)
    assert sum(len(national.heard(each)) for each in who) == 2, "two at once at two a second"
    assert waited
    assert 0.3 < waited[0] <= 1.0


@pytest.mark.parametrize("kind", ["someone", "bare"])
def test_a_local_merge_is_told_and_undone(national: Any, kind: str) -> None:
    keeps = national.register()
    goes = national.register(someone() if kind == "someone" else bare())
    national.run()
    assert national.there(keeps)[0]["national_id"] != national.there(goes)[0]["national_id"]
    merged = national.within(lambda exchange: merge(exchange, keeps.mpi, goes.mpi, now=national.now))
    national.run()
    (there,) = national.there(keeps)
    assert national.there(goes)[0]["national_id"] == there["national_id"]
    assert [each.action for each in national.items(goes)] == ["add", "resolve"]
    numbers = national.tables.rows(
        "SELECT * FROM empi_identifier WHERE domain = 'national:mpi' AND state = 'active' AND mpi = ANY(%s)",
        [keeps.mpi, goes.mpi],
    )
    assert len(numbers) == 1

    national.within(lambda exchange: unmerge(exchange, merged.merge_id, now=national.now))
    for _ in range(100):  # changes are read below the horizon: whatever else runs on the server may hold it back
        national.run(rounds=2)
        if national.there(goes)[0]["national_id"] != national.there(keeps)[0]["national_id"]:
            break
        time.sleep(0.2)
    assert national.there(goes)[0]["national_id"] != national.there(keeps)[0]["national_id"]
    assert [each.action for each in national.items(goes)] == ["add", "resolve", "add"]


async def merge(exchange: Any, survivor: Any, retired: Any, *, now: Any) -> Any:
    from yimatong.empi.merges import service as merges

    sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
    decision = merges.NewDecision("merge", "steward", retired, "steward-1", survivor)
    async with exchange.db.transaction() as connection:
        return await merges.merge(
            connection,
            retired=retired,
            survivor=survivor,
            decision=decision,
            sealer=sealer,
            blinder=blinder,
            now=now,
            over=("two_certificates",),
        )


async def unmerge(exchange: Any, merge_id: str, *, now: Any) -> Any:
    from yimatong.empi.merges import service as merges

    sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
    row = merges.NewDecision("unmerge", "steward", UUID(int=0), "steward-1")
    async with exchange.db.transaction() as connection:
        return await merges.unmerge(
            connection, merge_id=merge_id, decision=row, sealer=sealer, blinder=blinder, now=now
        )
