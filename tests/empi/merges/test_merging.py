"""Merge and unmerge: pointers, golden records, reviews, news; whatever was merged before or after."""

from __future__ import annotations

from uuid import uuid4

import pytest
from index_world import BLINDER, SEALER, Clock, by, changes, decided, enter, pointers, say, state
from sqlalchemy import text

from yimatong.empi.errors import MergeConflict, MergeNotFound, PersonNotFound, SamePerson
from yimatong.empi.golden import service as golden
from yimatong.empi.merges import service as merges
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.empi.reviews import service as reviews
from yimatong.empi.reviews.service import NewReview
from yimatong.kit.db import Connection, raw

_KEYS = {"sealer": SEALER, "blinder": BLINDER}
ONE = "110105194912310021"
OTHER = "11010519491231003X"


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_merge_moves_pointers_only_and_an_unmerge_brings_the_very_state_back(
    connection: Connection, clock: Clock
) -> None:
    keeps = await enter(connection, now=clock(), name="李四", id_number=ONE, source=("src:h1", "7"))
    goes = await enter(connection, now=clock(), name="李四", phone="13900139000", source=("src:h2", "8"))
    before = await state(connection)

    done = await merges.merge(connection, retired=goes, survivor=keeps, decision=by(), now=clock(), **_KEYS)
    merged = await state(connection)
    again = await merges.merge(connection, retired=goes, survivor=keeps, decision=by(), now=clock(), **_KEYS)

    assert await pointers(connection) == {keeps: None, goes: keeps}
    assert merged["contributions"] == before["contributions"]
    assert (again.merge_id, again.again, await state(connection)) == (done.merge_id, True, merged)
    assert (await persons.read(connection, SEALER, goes)).mpi == keeps
    assert (await persons.read(connection, SEALER, goes)).phone == "13900139000", "the golden record of both"

    undone = await merges.unmerge(connection, merge_id=done.merge_id, decision=by("unmerge"), now=clock(), **_KEYS)

    assert undone.back == (goes,)
    assert await state(connection) == before
    assert await changes(connection, goes) == ["merged", "unmerged"]
    assert await decided(connection, goes) == ["merge", "unmerge"]
    once_more = await merges.unmerge(connection, merge_id=done.merge_id, decision=by("unmerge"), now=clock(), **_KEYS)
    assert once_more.again
    assert await state(connection) == before


async def test_a_pair_taken_apart_is_not_joined_again_by_the_engine(connection: Connection, clock: Clock) -> None:
    left, right = await enter(connection, now=clock()), await enter(connection, now=clock())
    done = await merges.merge(connection, retired=right, survivor=left, decision=by(), now=clock(), **_KEYS)
    await merges.unmerge(connection, merge_id=done.merge_id, decision=by("unmerge"), now=clock(), **_KEYS)
    engine = by(method="probability", operator="engine")

    with pytest.raises(MergeConflict) as refused:
        await merges.merge_pair(connection, left=left, right=right, decision=engine, now=clock(), **_KEYS)
    assert refused.value.audit == "rejected_pair"
    opened = await reviews.open_many(await raw(connection), [NewReview(left, right, "probable")], clock())
    assert opened == [""]


@pytest.mark.parametrize("first", ["inner", "outer"])
async def test_merges_on_top_of_each_other_are_undone_in_any_order(
    connection: Connection, clock: Clock, first: str
) -> None:
    a, b, c = [
        await enter(connection, now=clock(), name=name, phone=f"1380013800{i}") for i, name in enumerate("甲乙丙")
    ]
    before = await state(connection)
    inner = await merges.merge(connection, retired=b, survivor=a, decision=by(), now=clock(), **_KEYS)
    outer = await merges.merge(connection, retired=a, survivor=c, decision=by(), now=clock(), **_KEYS)
    assert await pointers(connection) == {a: c, b: c, c: None}, "one step long"

    order = (inner, outer) if first == "inner" else (outer, inner)
    now = clock()
    undone = await merges.unmerge(connection, merge_id=order[0].merge_id, decision=by("unmerge"), now=now, **_KEYS)
    if first == "inner":
        assert await pointers(connection) == {a: c, b: None, c: None}
        assert undone.later == (outer.merge_id,), "it may have stood on what was said of the other one"
    else:
        assert await pointers(connection) == {a: None, b: a, c: None}
        assert undone.back == tuple(sorted((a, b)))
    await merges.unmerge(connection, merge_id=order[1].merge_id, decision=by("unmerge"), now=clock(), **_KEYS)

    assert await state(connection) == before


async def test_who_came_later_stays_and_somebody_is_asked_to_look(connection: Connection, clock: Clock) -> None:
    a, b, c = [await enter(connection, now=clock()) for _ in range(3)]
    wrong = await merges.merge(connection, retired=b, survivor=a, decision=by(), now=clock(), **_KEYS)
    on_top = await merges.merge(connection, retired=c, survivor=b, decision=by(), now=clock(), **_KEYS)
    assert on_top.survivor == a

    undone = await merges.unmerge(connection, merge_id=wrong.merge_id, decision=by("unmerge"), now=clock(), **_KEYS)

    assert await pointers(connection) == {a: None, b: None, c: a}
    assert undone.later == (on_top.merge_id,)
    raised = await connection.execute(text("SELECT subject, detail FROM kit_alarm WHERE kind = 'merges-on-top'"))
    assert [tuple(row) for row in raised] == [(wrong.merge_id, on_top.merge_id)]


async def test_what_is_said_meanwhile_stays_with_the_id_that_it_was_entered_for(
    connection: Connection, clock: Clock
) -> None:
    keeps = await enter(connection, now=clock(), name="李四", phone="13800138001")
    goes = await enter(connection, now=clock(), name="李四", phone="13800138002")
    done = await merges.merge(connection, retired=goes, survivor=keeps, decision=by(), now=clock(), **_KEYS)
    moved = SealedFacts(name="李四", id_type="", id_number="", phone="13800138009", address="咸阳市")
    await say(connection, goes, moved, now=clock(), source=("src:h2", "99"))
    await golden.recompute(await raw(connection), [keeps], now=clock(), **_KEYS)

    await merges.unmerge(connection, merge_id=done.merge_id, decision=by("unmerge"), now=clock(), **_KEYS)

    assert (await persons.read(connection, SEALER, goes)).address == "咸阳市"
    assert (await persons.read(connection, SEALER, keeps)).phone == "13800138001"


async def test_two_valid_certificates_of_a_type_need_a_steward(connection: Connection, clock: Clock) -> None:
    left = await enter(connection, now=clock(), id_number=ONE)
    right = await enter(connection, now=clock(), id_number=OTHER)
    engine = by(method="probability", operator="engine")
    with pytest.raises(MergeConflict) as refused:
        await merges.merge(connection, retired=right, survivor=left, decision=engine, now=clock(), **_KEYS)
    assert refused.value.audit == "two_certificates"
    assert await decided(connection, left, right) == [], "refused leaves no row"

    await connection.execute(text("UPDATE empi_certificate SET replaced_at = now() WHERE mpi = :mpi"), {"mpi": right})
    await merges.merge(connection, retired=right, survivor=left, decision=engine, now=clock(), **_KEYS)
    assert await pointers(connection) == {left: None, right: left}, "a replaced certificate does not count"


async def test_a_chain_does_not_make_twins_one_person(connection: Connection, clock: Clock) -> None:
    elder, younger = await enter(connection, now=clock(), id_number=ONE), await enter(connection, now=clock())
    between = await enter(connection, now=clock())
    await merges.reject(
        connection, left=elder, right=younger, decision=by("reject", reason="twins"), now=clock(), **_KEYS
    )
    engine = by(method="probability", operator="engine")
    await merges.merge_pair(connection, left=elder, right=between, decision=engine, now=clock(), **_KEYS)

    with pytest.raises(MergeConflict) as refused:
        await merges.merge_pair(connection, left=between, right=younger, decision=engine, now=clock(), **_KEYS)
    assert refused.value.audit == "twins"
    with pytest.raises(SamePerson):
        await merges.reject(connection, left=elder, right=between, decision=by("reject"), now=clock(), **_KEYS)

    done = await merges.merge_pair(
        connection, left=between, right=younger, decision=by(), over={"twins"}, now=clock(), **_KEYS
    )
    assert done.survivor == elder, "who has a valid certificate survives"
    lifted = await connection.execute(text("SELECT count(*) FROM empi_rejected_pair WHERE lifted_at IS NULL"))
    assert lifted.scalar_one() == 0


async def test_reviews_follow_a_merge_and_come_back_with_an_unmerge(connection: Connection, clock: Clock) -> None:
    a, b, c = [await enter(connection, now=clock(), name=name) for name in "甲乙丙"]
    pairs = [NewReview(a, b, "probable"), NewReview(a, c, "probable"), NewReview(b, c, "cluster_conflict")]
    within, older, riskier = await reviews.open_many(await raw(connection), pairs, clock())
    assert await reviews.open_many(await raw(connection), pairs[:1], clock()) == [within], "one waits"
    before = await state(connection)

    done = await merges.merge(connection, retired=b, survivor=a, decision=by(), now=clock(), **_KEYS)
    states = {row[0]: row[3] for row in (await state(connection))["reviews"]}
    assert states == {within: "void", older: "void", riskier: "open"}, "nothing asks twice, nothing asks of a ghost"
    assert await reviews.open_many(await raw(connection), [NewReview(a, c, "probable")], clock()) == [riskier]

    await merges.unmerge(connection, merge_id=done.merge_id, decision=by("unmerge"), apart=False, now=clock(), **_KEYS)
    assert await state(connection) == before


async def test_a_cancelled_person_is_not_merged_and_nobody_is_made_up(connection: Connection, clock: Clock) -> None:
    left, right = await enter(connection, now=clock()), await enter(connection, now=clock())
    await connection.execute(
        text(
            "UPDATE empi_person SET state = 'cancelled', cancelled_at = now(), cancel_reason = 'other' WHERE mpi = :m"
        ),
        {"m": left},
    )
    with pytest.raises(MergeConflict) as refused:
        await merges.merge(
            connection, retired=right, survivor=left, decision=by(), over={"cancelled"}, now=clock(), **_KEYS
        )
    assert refused.value.audit == "cancelled"
    with pytest.raises(PersonNotFound):
        await merges.merge(connection, retired=uuid4(), survivor=right, decision=by(), now=clock(), **_KEYS)
    with pytest.raises(MergeNotFound):
        await merges.unmerge(connection, merge_id="mrg_nothing", decision=by("unmerge"), now=clock(), **_KEYS)
