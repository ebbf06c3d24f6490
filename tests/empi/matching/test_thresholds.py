"""Thresholds chosen without the truth, from pairs that numbers prove."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.empi.matching import thresholds
from yimatong.empi.matching.thresholds import Band, Load


def bands(*rows: tuple[float, int, int, int]) -> list[Band]:
    return [Band(weight=w, same=same, different=two, unproven=unproven) for w, same, two, unproven in rows]


def test_links_go_down_to_where_proven_pairs_begin_to_be_two_persons():
    found = thresholds.choose(
        bands((20, 5000, 0, 4000), (8, 900, 1, 600), (6, 500, 1, 300), (4.5, 300, 90, 200), (3, 10, 400, 100)),
        records=10_000,
    )
    assert found.link == 6
    assert found.review == 0


def test_few_proven_pairs_mean_the_default():
    assert thresholds.choose(bands((20, 500, 0, 400)), records=1000) == thresholds.DEFAULT


def test_a_bad_band_high_up_does_not_move_the_threshold_out_of_reach():
    found = thresholds.choose(bands((30, 100, 90, 100), (20, 5000, 0, 4000)), records=10_000)
    assert found.link <= 14


def test_stewards_get_no_more_than_their_share():
    load = [Load(weight=w, guarded=5, free=50) for w in (4, 3, 2, 1, 0)]
    full = bands((20, 5000, 0, 4000), (6, 500, 0, 300))
    assert thresholds.choose(full, load, records=100_000).review == 0
    assert 0 < thresholds.choose(full, load, records=5_000).review < 5
    assert thresholds.choose(full, load, records=100).review == 6


@given(
    st.lists(
        st.tuples(st.integers(-20, 80), st.integers(0, 5000), st.integers(0, 50), st.integers(0, 3000)),
        max_size=30,
        unique_by=lambda row: row[0],
    ),
    st.integers(1, 100_000),
)
def test_thresholds_are_always_in_order_and_finite(rows, records):
    found = thresholds.choose(bands(*((w / 2, *rest) for w, *rest in rows)), records=records)
    assert -1 < found.review <= found.link <= 14


@pytest.mark.parametrize(("same", "different", "goes"), [(400, 0, True), (399, 0, False), (5000, 1, False)])
def test_a_guard_goes_only_where_nobody_needs_it(same, different, goes):
    assert thresholds.needless(same=same, different=different) is goes
