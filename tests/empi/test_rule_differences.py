"""What a change of rules would do, against how persons stand today."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from yimatong.empi.matching.scoring import Thresholds
from yimatong.empi.rules.differences import SAMPLES_MAX, Scored, Standing, difference, ordered
from yimatong.empi.rules.schemas import Difference

RULES = Thresholds(link=10, review=0)


def person(number: int) -> UUID:
    return UUID(int=number)


A, B, C, D = map(person, range(1, 5))


def standing(
    today: dict[UUID, UUID] | None = None,
    waiting: set[tuple[UUID, UUID]] | None = None,
    rejected: set[tuple[UUID, UUID]] | None = None,
    by_engine: list[tuple[UUID, UUID]] | None = None,
) -> Standing:
    return Standing(today=today or {}, waiting=waiting or set(), rejected=rejected or set(), by_engine=by_engine or [])


def found(scored: list[Scored], how: Standing) -> Difference:
    return difference(scored, how, RULES, persons=4)


def test_two_who_reach_the_link_threshold_would_be_merged() -> None:
    result = found([(A, B, 12.5, ())], standing())
    assert result.counts == {"merge": 1, "review": 0, "split": 0, "drop": 0}
    assert (result.samples["merge"][0].left, result.samples["merge"][0].weight) == (A.hex, 12.5)


def test_a_guard_of_any_statement_keeps_a_pair_from_being_merged() -> None:
    result = found([(A, B, 30.0, ()), (B, A, 12.0, ("twins",))], standing())
    assert result.counts["merge"] == 0
    assert result.samples["review"][0].guards == ("twins",)


def test_one_person_is_no_pair_and_a_retired_id_counts_as_her() -> None:
    assert found([(A, B, 12.0, ())], standing(today={A: B})).counts["merge"] == 0
    result = found([(A, C, 12.0, ()), (B, C, 11.0, ())], standing(today={A: B}))
    assert (result.counts["merge"], result.samples["merge"][0].weight) == (1, 12.0)
    assert {result.samples["merge"][0].left, result.samples["merge"][0].right} == {B.hex, C.hex}


def test_what_waits_stays_or_leaves_and_what_was_rejected_stays_apart() -> None:
    waiting = {ordered(A, B), ordered(C, D)}
    result = found([(A, B, 5.0, ())], standing(waiting=waiting))
    assert result.counts == {"merge": 0, "review": 0, "split": 0, "drop": 1}
    assert found([(A, B, 15.0, ())], standing(waiting={ordered(A, B)})).counts["merge"] == 1
    assert found([(A, B, 15.0, ())], standing(rejected={ordered(A, B)})).counts["merge"] == 0
    assert found([(A, C, 15.0, ())], standing(today={A: B}, rejected={ordered(B, C)})).counts["merge"] == 0


def test_a_merge_that_the_rules_would_not_make_is_told() -> None:
    joined = standing(today={A: B}, by_engine=[(A, B)])
    assert found([(A, B, 12.0, ())], joined).counts["split"] == 0
    assert found([(A, B, 8.0, ())], joined).samples["split"][0].weight == 8.0
    assert found([], joined).counts["split"] == 1


def test_a_chain_over_a_third_id_carries_a_merge() -> None:
    joined = standing(today={A: C, B: C}, by_engine=[(A, C), (B, C)])
    assert found([(A, B, 12.0, ()), (B, C, 11.0, ())], joined).counts["split"] == 0
    assert found([(A, B, 12.0, ())], joined).counts["split"] == 2


ids = st.integers(1, 6).map(person)


@given(st.lists(st.tuples(ids, ids, st.floats(0, 30), st.just(())).filter(lambda each: each[0] != each[1])))
def test_every_pair_of_persons_is_counted_once(scored: list[Scored]) -> None:
    result = found(scored, standing())
    assert result.counts["merge"] + result.counts["review"] == len({ordered(left, right) for left, right, *_ in scored})
    assert result.pairs == len(scored)


def test_samples_are_bounded_and_the_heaviest_come_first() -> None:
    many: list[Scored] = [(person(2 * n), person(2 * n + 1), 10.0 + n, ()) for n in range(1, 500)]
    result = found(many, standing())
    assert result.counts["merge"] == 499
    assert len(result.samples["merge"]) == SAMPLES_MAX
    assert result.samples["merge"][0].weight == 509.0
