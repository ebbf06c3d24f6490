"""What goes back of which part and line: never more than came, whatever is asked in whatever order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.payments.channels.base import Part
from yimatong.payments.errors import (
    ItemsDoNotAddUp,
    ItemsNeeded,
    NoSuchLine,
    PartsDoNotAddUp,
    RefundExceedsItem,
    RefundExceedsPaid,
    RefundExceedsPart,
)
from yimatong.payments.refunds.schemas import NewRefund, RefundItem, RefundPart
from yimatong.payments.refunds.sharing import Came, Earlier, check_items, share

REFUSALS = (RefundExceedsPaid, RefundExceedsPart, PartsDoNotAddUp)


def came(cash_fen: int, fund_fen: int, account_fen: int) -> dict[Part, Came]:
    found = {Part.CASH: Came(amount_fen=cash_fen, attempt_no="A1", account_id="wechat")} if cash_fen else {}
    if fund_fen + account_fen:
        split = {"fund_fen": fund_fen, "account_fen": account_fen}
        found[Part.INSURANCE] = Came(
            amount_fen=fund_fen + account_fen, attempt_no="A2", account_id="insurance", components=split
        )
    return found


def new(amount_fen: int, *parts: RefundPart, items: list[RefundItem] | None = None) -> NewRefund:
    return NewRefund(
        order_no="P" + "0" * 20,
        request_no="r",
        amount_fen=amount_fen,
        reason="x",
        parts=list(parts),
        items=items or [],
    )


def test_without_a_word_the_payers_own_part_goes_back() -> None:
    (made,) = share(new(300), came(1000, 600, 400), [])
    assert (made.part, made.amount_fen, made.components) == (Part.CASH, 300, {})


def test_everything_left_goes_back_the_way_it_came() -> None:
    gone = [Earlier(part=Part.CASH, amount_fen=300)]
    made = {each.part: each for each in share(new(1700), came(1000, 600, 400), gone)}
    assert made[Part.CASH].amount_fen == 700
    assert made[Part.INSURANCE].components == {"fund_fen": 600, "account_fen": 400}


def test_a_component_is_never_exceeded() -> None:
    wanted = RefundPart(part="insurance", amount_fen=500, components={"fund_fen": 100, "account_fen": 400})
    gone = [Earlier(part=Part.INSURANCE, amount_fen=100, components={"account_fen": 100})]
    with pytest.raises(RefundExceedsPart):
        share(new(500, wanted), came(1000, 600, 400), gone)


@pytest.mark.parametrize(
    "parts",
    [
        [RefundPart(part="cash", amount_fen=100)],
        [RefundPart(part="cash", amount_fen=100), RefundPart(part="cash", amount_fen=100)],
        [RefundPart(part="insurance", amount_fen=200)],
        [RefundPart(part="insurance", amount_fen=200, components={"fund_fen": 100})],
    ],
)
def test_parts_add_up_and_an_insurers_part_says_its_components(parts) -> None:
    with pytest.raises(PartsDoNotAddUp):
        share(new(200, *parts), came(1000, 600, 400), [])


def test_a_part_that_brought_nothing_gives_nothing_back() -> None:
    with pytest.raises(RefundExceedsPart):
        share(new(100, RefundPart(part="commercial", amount_fen=100)), came(1000, 0, 0), [])


fens = st.integers(0, 2000)
wishes = st.lists(
    st.builds(
        lambda cash, fund, account: (cash, fund, account), st.integers(0, 900), st.integers(0, 900), st.integers(0, 900)
    ),
    max_size=8,
)


@given(st.integers(1, 2000), fens, fens, wishes)
def test_no_series_of_refunds_returns_more_than_came(cash_fen, fund_fen, account_fen, series) -> None:
    total = came(cash_fen, fund_fen, account_fen)
    earlier: list[Earlier] = []
    for cash, fund, account in series:
        parts = [RefundPart(part="cash", amount_fen=cash)] if cash else []
        if fund + account:
            split = {"fund_fen": fund, "account_fen": account}
            parts.append(RefundPart(part="insurance", amount_fen=fund + account, components=split))
        if not parts:
            continue
        try:
            made = share(new(cash + fund + account, *parts), total, earlier)
        except REFUSALS:
            continue
        assert sum(each.amount_fen for each in made) == cash + fund + account
        earlier += [Earlier(part=each.part, amount_fen=each.amount_fen, components=each.components) for each in made]
    gone = Counter[str]()
    for each in earlier:
        gone[each.part] += each.amount_fen
        gone.update(each.components)
    assert gone[Part.CASH] <= cash_fen
    assert gone["fund_fen"] <= fund_fen
    assert gone["account_fen"] <= account_fen
    assert gone[Part.INSURANCE] == gone["fund_fen"] + gone["account_fen"]


def test_lines() -> None:
    lines = [500, 300]
    check_items(300, [RefundItem(line=1, amount_fen=200), RefundItem(line=2, amount_fen=100)], lines, {}, needed=True)
    check_items(300, [], lines, {}, needed=False)
    with pytest.raises(ItemsNeeded):
        check_items(300, [], lines, {}, needed=True)
    with pytest.raises(ItemsDoNotAddUp):
        check_items(300, [RefundItem(line=1, amount_fen=200)], lines, {}, needed=False)
    with pytest.raises(NoSuchLine):
        check_items(300, [RefundItem(line=3, amount_fen=300)], lines, {}, needed=False)
    with pytest.raises(RefundExceedsItem):
        check_items(300, [RefundItem(line=1, amount_fen=300)], lines, {1: 201}, needed=False)
    twice = [RefundItem(line=2, amount_fen=200), RefundItem(line=2, amount_fen=200)]
    with pytest.raises(RefundExceedsItem):
        check_items(400, twice, lines, {}, needed=False)
