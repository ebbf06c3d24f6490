"""The state machine is exactly its published edges; terminal states stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.payments import states
from yimatong.payments.errors import OrderNotFound, StateEdgeRefused
from yimatong.payments.numbers import attempt_no, order_of, refund_no, require_order_no
from yimatong.payments.states import AttemptState, OrderState, RefundState


@given(st.sampled_from(OrderState), st.lists(st.sampled_from(OrderState), max_size=12))
def test_walks_of_an_order_keep_the_rules_of_money(start: OrderState, wishes: list[OrderState]) -> None:
    state, was_paid = start, start in states.ORDER_REFUNDABLE or start is OrderState.REFUNDED
    for wish in wishes:
        try:
            states.step_order(state, wish)
        except StateEdgeRefused:
            continue
        assert not (was_paid and wish in (*states.ORDER_UNPAID, OrderState.CLOSED)), "paid money is never forgotten"
        assert state not in (OrderState.CLOSED, OrderState.REFUNDED), "a terminal state was left"
        assert not (wish is OrderState.CLOSED and state is not OrderState.CLOSING), "closed without the protocol"
        state, was_paid = wish, was_paid or wish is OrderState.PAID


@given(st.sampled_from(AttemptState), st.sampled_from(AttemptState))
def test_unknown_is_left_and_success_is_final(old: AttemptState, new: AttemptState) -> None:
    try:
        states.step_attempt(old, new)
    except StateEdgeRefused:
        return
    assert old is not AttemptState.SUCCEEDED
    assert old is not AttemptState.FAILED or new is AttemptState.SUCCEEDED


@given(st.sampled_from(RefundState), st.sampled_from(RefundState))
def test_a_refund_that_ended_stays(old: RefundState, new: RefundState) -> None:
    try:
        states.step_refund(old, new)
    except StateEdgeRefused:
        return
    assert old not in (RefundState.SUCCEEDED, RefundState.CLOSED)
    assert new is not RefundState.REQUESTED


def test_every_state_has_its_edges_and_every_open_state_can_end() -> None:
    assert set(states.ORDER_EDGES) == set(OrderState)
    assert set(states.ATTEMPT_EDGES) == set(AttemptState)
    assert set(states.REFUND_EDGES) == set(RefundState)


@given(st.integers(0, 10**20 - 1), st.integers(1, 99))
def test_part_numbers_carry_their_order(number: int, sequence: int) -> None:
    order_no = f"P{number:020d}"
    assert require_order_no(order_no) == order_no
    for part in (attempt_no(order_no, sequence), refund_no(order_no, sequence)):
        assert order_of(part) == order_no
        assert len(part) <= 32


@given(st.text(max_size=40))
def test_other_texts_are_no_numbers(text: str) -> None:
    with pytest.raises(OrderNotFound):
        order_of(text)
