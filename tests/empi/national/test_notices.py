"""Notices of the national index: duplicates found, merged, distributed; repeats, order, crashes, conflicts."""

from __future__ import annotations

import secrets
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from registration_world import another_number, bare, new_name, new_phone, someone

from yimatong.empi.national import receiving, service


def numbers_of(national: Any, who: SimpleNamespace) -> int:
    sql = "SELECT count(*) AS n FROM empi_identifier WHERE domain = 'national:mpi' AND state = 'active' AND mpi = %s"
    return int(national.tables.one(sql, who.mpi).n)


def golden(national: Any, who: SimpleNamespace) -> Any:
    """Return a person's record as the index has it, unsealed."""

    async def read(exchange: Any) -> Any:
        from yimatong.empi.persons import queries

        sealer = await exchange.vault.sealer()
        async with exchange.db.read() as connection:
            return await queries.read(connection, sealer, who.mpi)

    return national.within(read)


def current(national: Any, who: SimpleNamespace) -> Any:
    return national.tables.one("SELECT coalesce(current_mpi, mpi) AS m FROM empi_person WHERE mpi = %s", who.mpi).m


def newest(national: Any, kind: str) -> Any:
    return national.notice(kind)[-1]


def reviews_of(national: Any, *who: SimpleNamespace) -> list[SimpleNamespace]:
    sql = "SELECT * FROM empi_review WHERE left_mpi = ANY(%s) AND right_mpi = ANY(%s) AND kind = 'national'"
    both = [each.mpi for each in who]
    return national.tables.rows(sql, both, both)


def a_shared_person(national: Any, **resident: Any) -> SimpleNamespace:
    """Return a person of ours whom another province registered, too; what it said is in our inbox and done."""
    who = national.register(someone(**resident))
    national.run()
    national.elsewhere(who)
    national.run()
    return who


def test_a_duplicate_elsewhere_links_the_national_number(national: Any) -> None:
    who = a_shared_person(national)
    notice = newest(national, "duplicates_found")
    assert (notice.state, notice.outcome, notice.mpis) == ("done", "linked", [who.mpi])
    assert notice.sealed is None, "done: nothing personal stays in the inbox"
    assert numbers_of(national, who) == 1
    assert len(national.there(who)) == 1


def test_two_of_ours_who_look_alike_go_to_a_steward(national: Any) -> None:
    left = national.register()
    twin = {key: left.resident[key] for key in ("name", "sex", "birth_date")}
    right = national.register(bare(**twin))
    national.run()
    notice = newest(national, "duplicates_found")
    assert notice.outcome == "review"
    assert [each.review_id for each in reviews_of(national, left, right)] in ([notice.became], [])
    assert current(national, left) != current(national, right)


def registered_apart(national: Any, *, name: str = "") -> tuple[SimpleNamespace, SimpleNamespace]:
    """Return two persons of ours with one certificate in their records; by the second name it is not claimed."""
    left = national.register()
    right = national.register({**left.resident, "name": name or new_name(), "phone": new_phone()})
    assert right.mpi != left.mpi
    national.run()
    return left, right


def merged_there(national: Any, left: SimpleNamespace, right: SimpleNamespace, certificate: str = "") -> Any:
    body = {"survivor": national.ref(left.mpi), "other": national.ref(right.mpi), "certificate": certificate}
    national.world.control("/control/national/merge", body)
    national.run()
    return newest(national, "merged")


def test_merged_there_and_both_say_the_certificate_is_merged_here(national: Any) -> None:
    left, right = registered_apart(national)
    notice = merged_there(national, left, right)
    assert (notice.state, notice.outcome) == ("done", "merged")
    assert current(national, left) == current(national, right) == left.mpi
    decision = national.tables.one(
        "SELECT d.* FROM empi_decision d JOIN empi_merge m USING (decision_id) WHERE m.merge_id = %s", notice.became
    )
    assert (decision.method, decision.operator, decision.reason) == ("national", "national", "national_merge")
    national.run()
    assert national.progress().due == 0


def test_merged_there_without_a_common_certificate_goes_to_a_steward(national: Any) -> None:
    left, right = national.register(), national.register(bare())
    national.run()
    notice = merged_there(national, left, right)
    assert notice.outcome == "review"
    (review,) = reviews_of(national, left, right)
    assert (review.review_id, review.because, review.state) == (notice.became, "no_common_certificate", "open")
    assert current(national, left) != current(national, right)


def test_merged_there_against_the_cluster_check_goes_to_a_steward(national: Any) -> None:
    left, right = national.register(), national.register()
    national.run()
    notice = merged_there(national, left, right)
    assert (notice.outcome, reviews_of(national, left, right)[0].because) == ("review", "two_certificates")
    again = merged_elsewhere_again(national, notice)
    assert again.outcome == "review"
    assert len(reviews_of(national, left, right)) == 1


def merged_elsewhere_again(national: Any, notice: Any) -> Any:
    """Take a stuck notice up is refused for a done one; return it unchanged."""

    async def take_up(exchange: Any) -> None:
        async with exchange.db.transaction() as connection:
            await service.take_up_notice(connection, notice.notice_id, now=national.now)

    with pytest.raises(Exception, match="not stuck"):
        national.within(take_up)
    return newest(national, "merged")


def test_distributed_facts_fill_gaps_and_never_overwrite_what_is_proven(national: Any) -> None:
    who = national.register(someone(), real_name="certificate_read")
    national.run()
    national.elsewhere(who)
    national.run()
    phone = golden(national, who).phone
    address = f"甘肃省兰州市城关区中山路{secrets.randbelow(900) + 1}号"
    later = national.now + timedelta(hours=1)
    national.elsewhere(who, phone=new_phone(), address=address, marital="20", at=later)
    national.run()
    notice = newest(national, "distributed")
    assert (notice.state, notice.outcome) == ("done", "contributed")
    known = golden(national, who)
    assert (str(known.phone), known.marital) == (str(phone), "20")
    assert str(known.address) == address
    told = national.tables.one("SELECT * FROM empi_contribution WHERE contribution_id = %s", notice.became)
    assert (told.mpi, told.kind, told.provider, told.at) == (who.mpi, "national", "national", notice.said_at)
    assert national.tables.one("SELECT count(*) AS n FROM empi_block WHERE mpi = %s", who.mpi).n > 0
    national.run()
    assert national.there(who)[0]["said"]["marital"] == "20"


def test_older_facts_than_our_own_do_not_win(national: Any) -> None:
    who = a_shared_person(national)
    national.elsewhere(who, address="甘肃省兰州市七里河区1号", at=national.now - timedelta(days=30))
    national.run()
    assert newest(national, "distributed").outcome == "contributed"
    assert str(golden(national, who).address) == who.resident["address"]


def test_twice_and_out_of_order_comes_out_as_once_and_in_order(national: Any) -> None:
    who = a_shared_person(national)
    national.moods(twice=True, reverse=True)
    for hour in (1, 2, 3):
        national.elsewhere(who, address=f"甘肃省兰州市安宁区{hour}号", at=national.now + timedelta(days=1, hours=hour))
    national.run(rounds=8)
    addresses = [each.outcome for each in national.notice("distributed")[-3:]]
    assert addresses == ["contributed"] * 3
    assert str(golden(national, who).address) == "甘肃省兰州市安宁区3号"
    sql = "SELECT count(*) AS n FROM empi_contribution WHERE mpi = %s AND kind = 'national' AND current"
    assert national.tables.one(sql, who.mpi).n == 1


def test_an_old_notice_that_comes_late_is_outdated(national: Any) -> None:
    who = a_shared_person(national)
    national.elsewhere(who, address="甘肃省兰州市红古区9号", at=national.now + timedelta(days=2))
    national.run()
    national.elsewhere(who, address="甘肃省兰州市红古区1号", at=national.now + timedelta(days=1))
    national.run()
    assert newest(national, "distributed").outcome == "outdated"
    assert str(golden(national, who).address) == "甘肃省兰州市红古区9号"


def test_facts_of_somebody_else_stand_apart_until_a_steward_judged(national: Any) -> None:
    who = a_shared_person(national)
    before = golden(national, who)
    national.elsewhere(who, name=new_name(), certificate=another_number(who.resident))
    national.run()
    notice = newest(national, "distributed")
    assert (notice.state, notice.outcome) == ("done", "apart")
    assert golden(national, who) == before
    review = national.tables.one("SELECT * FROM empi_review WHERE review_id = %s", notice.became)
    assert who.mpi in (review.left_mpi, review.right_mpi)
    (ghost,) = {review.left_mpi, review.right_mpi} - {who.mpi}
    national.run()
    assert national.tables.count("empi_national_item", "mpi = %s", ghost) == 0, "she came from there"


def test_a_crash_in_the_middle_does_it_once(national: Any) -> None:
    who = a_shared_person(national)
    national.elsewhere(who, marital="40", at=national.now + timedelta(hours=1))

    async def crash_after_receiving(exchange: Any) -> None:
        from yimatong.empi.national import tasks

        assert await tasks.hear(exchange, now=national.now) == 1
        (notice_id,) = [each.notice_id for each in national.notice("distributed") if each.state == "received"]
        sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
        async with exchange.db.transaction() as connection:
            await receiving.apply(
                connection, exchange.vault, notice_id, sealer=sealer, blinder=blinder, now=national.now
            )
            raise KilledError

    with pytest.raises(KilledError):
        national.within(crash_after_receiving)
    assert golden(national, who).marital == ""
    assert newest(national, "distributed").state == "received"
    national.run()
    assert golden(national, who).marital == "40"
    sql = "SELECT count(*) AS n FROM empi_contribution WHERE mpi = %s AND kind = 'national'"
    assert national.tables.one(sql, who.mpi).n == 1
    assert not [each for each in national.world.control("/control/national/notices") if each["root"] != "2.25.1"]


class KilledError(Exception):
    """The process dies here."""


def test_a_notice_that_cannot_be_done_is_shown_and_taken_up_again(national: Any) -> None:
    who = a_shared_person(national)
    national.elsewhere(who, marital="99", birth="18000101", at=national.now + timedelta(hours=1))
    national.run()
    notice = newest(national, "distributed")
    assert (notice.state, notice.outcome) == ("refused", "EMP-1004"), notice
    assert national.tables.count("kit_alarm", "kind = 'national-notice' AND subject = %s", notice.notice_id) == 1
    later = {"marital": "20", "at": national.now + timedelta(hours=2)}
    national.elsewhere(who, **later)
    national.run()
    assert newest(national, "distributed").outcome == "contributed", "what is stuck does not block what follows"


def test_a_notice_about_nobody_of_ours_changes_nothing(national: Any) -> None:
    who = a_shared_person(national)
    before = national.tables.count("empi_person")

    async def receive(exchange: Any) -> Any:
        from yimatong.empi.national.schemas import Notice, Page

        sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
        notice = Notice(
            notice_id="NT-nobody",
            seq=10**9,
            kind="merged",
            said_at=national.now,
            national_id="N1",
            refs=("0" * 32,),
            others=("1" * 32,),
        )
        async with exchange.db.transaction() as connection:
            at = await receiving.place(connection, now=national.now)
            page = Page(notices=(notice,), last=at)
            return await receiving.receive(
                connection, exchange.vault, page, sealer=sealer, blinder=blinder, now=national.now
            )

    assert national.within(receive) == 1
    national.run()
    assert newest(national, "merged").outcome == "unknown_person"
    assert national.tables.count("empi_person") == before
    assert current(national, who) == who.mpi
