"""The steward's verbs: one pair waits once, decisions are undone, rejected pairs come back only with other facts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from index_world import BLINDER, SEALER, STEWARD, Clock, enter, pointers, state
from sqlalchemy import text

from yimatong.empi.errors import (
    DoubleCheckNotOpen,
    ReviewNotFound,
    ReviewNotUndoable,
    ReviewNotWaiting,
    ReviewTakenByAnother,
    SourceNotAskable,
)
from yimatong.empi.matching.facts import Facts, FieldEvidence
from yimatong.empi.merges import waiting
from yimatong.empi.merges.rejections import digests
from yimatong.empi.reviews import double_checks
from yimatong.empi.reviews import service as reviews
from yimatong.empi.reviews.service import NewReview
from yimatong.kit.db import Connection, raw

_KEYS = {"sealer": SEALER, "blinder": BLINDER}
SECOND = "opr_second"


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def pair(connection: Connection, clock: Clock, **more: object) -> tuple[str, NewReview]:
    left, right = await enter(connection, now=clock()), await enter(connection, now=clock(), phone="13900139000")
    wanted = NewReview(left, right, "probable", weight=4.0, probability=0.9, **more)  # type: ignore[arg-type]
    (review_id,) = await reviews.open_many(await raw(connection), [wanted], clock())
    return review_id, wanted


async def column(connection: Connection, review_id: str, name: str) -> object:
    rows = await connection.execute(text(f"SELECT {name} FROM empi_review WHERE review_id = :id"), {"id": review_id})
    return rows.scalar_one()


async def steps(connection: Connection, review_id: str) -> list[str]:
    rows = await connection.execute(
        text("SELECT what FROM empi_review_step WHERE review_id = :id ORDER BY id"), {"id": review_id}
    )
    return list(rows.scalars())


async def test_a_merge_is_decided_and_undone(connection: Connection, clock: Clock) -> None:
    review_id, wanted = await pair(connection, clock, evidence=(FieldEvidence("name", "exact", 5.0),))
    before = await state(connection)
    await reviews.take(connection, review_id, operator=STEWARD, now=clock())
    with pytest.raises(ReviewTakenByAnother):
        await reviews.take(connection, review_id, operator=SECOND, now=clock())
    await reviews.decide(connection, review_id, "merged", operator=STEWARD, now=clock(), checked_share=0, **_KEYS)
    assert (await pointers(connection))[wanted.right] == wanted.left
    with pytest.raises(ReviewNotWaiting):
        await reviews.decide(connection, review_id, "rejected", operator=STEWARD, now=clock(), **_KEYS)

    await reviews.undo(connection, review_id, operator=STEWARD, now=clock(), **_KEYS)
    assert await state(connection) == before
    assert await steps(connection, review_id) == ["opened", "taken", "merged", "undone"]
    with pytest.raises(ReviewNotUndoable):
        await reviews.undo(connection, review_id, operator=STEWARD, now=clock(), **_KEYS)
    with pytest.raises(ReviewNotFound):
        await reviews.undo(connection, "rev_nothing", operator=STEWARD, now=clock(), **_KEYS)


@pytest.mark.parametrize("reason", ["different", "twins"])
async def test_a_rejected_pair_comes_back_only_when_the_facts_changed(
    connection: Connection, clock: Clock, reason: str
) -> None:
    review_id, wanted = await pair(connection, clock)
    facts = [
        Facts(
            name="张三",
            sex="1",
            birth_date=(await _born(connection, mpi)),
            phone=phone,
            address="西安市雁塔区",
        )
        for mpi, phone in ((wanted.left, "13800138000"), (wanted.right, "13900139000"))
    ]
    await reviews.decide(
        connection, review_id, "rejected", operator=STEWARD, reason=reason, now=clock(), checked_share=0, **_KEYS
    )

    async def again(left: Facts, right: Facts) -> str:
        asked = wanted._replace(digests=digests(BLINDER, left, right))
        return (await reviews.open_many(await raw(connection), [asked], clock()))[0]

    assert await again(*facts) == ""
    assert await again(facts[1], facts[0]) == "", "whichever comes first"
    moved = Facts(name="张三", sex="1", birth_date=facts[0].birth_date, phone="13700137000", address="西安市雁塔区")
    if reason == "twins":
        assert await again(moved, facts[1]) == "", "that twins moved house proves nothing"
    renamed = Facts(name="张三三", sex="1", birth_date=facts[0].birth_date, phone="13800138000", address="西安市雁塔区")
    back = await again(renamed, facts[1])
    assert back not in ("", review_id)
    assert await column(connection, back, "kind") == "facts_changed"
    assert await column(connection, back, "because") == "rejected_before"


async def _born(connection: Connection, mpi: object) -> object:
    rows = await connection.execute(text("SELECT birth_date FROM empi_person WHERE mpi = :m"), {"m": mpi})
    return rows.scalar_one()


async def test_a_rejection_is_undone(connection: Connection, clock: Clock) -> None:
    review_id, wanted = await pair(connection, clock)
    await reviews.decide(connection, review_id, "rejected", operator=STEWARD, now=clock(), checked_share=0, **_KEYS)
    await reviews.undo(connection, review_id, operator=STEWARD, now=clock(), **_KEYS)
    assert await column(connection, review_id, "state") == "open"
    await reviews.decide(connection, review_id, "merged", operator=STEWARD, now=clock(), checked_share=0, **_KEYS)
    assert (await pointers(connection))[wanted.right] == wanted.left


async def test_put_off_asked_and_answered(connection: Connection, clock: Clock) -> None:
    review_id, _ = await pair(connection, clock)
    due = clock() + timedelta(days=3)
    await reviews.later(connection, review_id, due_at=due, operator=STEWARD, now=clock())
    assert await column(connection, review_id, "due_at") == due
    asking = {"question": "身份证号是否看错？", "reference": "0" * 32, "due_at": due, "operator": STEWARD}
    with pytest.raises(SourceNotAskable):
        await reviews.ask(
            connection, review_id, institution_id="inst-9", providers=["inst-9"], sealer=SEALER, now=clock(), **asking
        )
    await reviews.ask(
        connection, review_id, institution_id="inst-1", providers=["his-1"], sealer=SEALER, now=clock(), **asking
    )
    told = await connection.execute(text("SELECT payload FROM kit_outbox WHERE topic = 'empi.source_asked'"))
    payload = told.scalar_one()
    assert (payload["review_id"], payload["institution_id"]) == (review_id, "inst-1")
    assert "身份证" not in str(payload), "what stewards write is sealed"
    await reviews.answered(connection, review_id, "看错了一位", who="his-1", sealer=SEALER, now=clock())
    await reviews.note(connection, review_id, "已电话核实", operator=STEWARD, sealer=SEALER, now=clock())
    notes = await reviews.read_note(connection, review_id, sealer=SEALER)
    assert [note[2:] for note in notes] == [
        ("asked", "身份证号是否看错？"),
        ("answered", "看错了一位"),
        ("noted", "已电话核实"),
    ]
    assert await column(connection, review_id, "state") == "open"


async def test_a_second_operator_who_disagrees_opens_it_again(connection: Connection, clock: Clock) -> None:
    review_id, _ = await pair(connection, clock)
    before = await state(connection)
    await reviews.decide(connection, review_id, "merged", operator=STEWARD, now=clock(), checked_share=1, **_KEYS)
    with pytest.raises(DoubleCheckNotOpen):
        await reviews.second_opinion(connection, review_id, "rejected", operator=STEWARD, now=clock(), **_KEYS)
    agreed = await reviews.second_opinion(connection, review_id, "rejected", operator=SECOND, now=clock(), **_KEYS)
    assert not agreed
    assert await state(connection) == before
    raised = await connection.execute(text("SELECT subject FROM kit_alarm WHERE kind = 'double-check'"))
    assert list(raised.scalars()) == [review_id]
    with pytest.raises(DoubleCheckNotOpen):
        await reviews.second_opinion(connection, review_id, "merged", operator=SECOND, now=clock(), **_KEYS)


def test_the_drawn_share_is_the_share() -> None:
    drawn = sum(double_checks.drawn(f"rev_{number}", 0.1) for number in range(10_000))
    assert 900 < drawn < 1_100
    assert double_checks.drawn("rev_x", 1)
    assert not double_checks.drawn("rev_x", 0)


async def test_the_queue_puts_what_may_harm_first(connection: Connection, clock: Clock) -> None:
    number = "110105194912310021"
    left = await enter(connection, now=clock(), id_number=number, source=("src:a", "1"))
    right = await enter(connection, now=clock(), id_number="11010519491231003X", source=("src:a", "2"))
    plain = [await enter(connection, now=clock()) for _ in range(2)]
    wanted = [
        NewReview(*plain, "probable", probability=0.5),
        NewReview(left, right, "certificate_conflict", guards=("twins",)),
    ]
    assert waiting.risk(wanted[1]) > waiting.risk(wanted[0])
    ids = await reviews.open_many(await raw(connection), [*wanted, *wanted], clock())
    assert ids[:2] == ids[2:]
    risks = [await column(connection, each, "risk") for each in ids[:2]]
    assert risks == [32, 90], "both have a certificate and numbers: a wrong answer costs more"
