from __future__ import annotations

import random
import time
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import MERCHANT, NOON, Line, bill, payments, replace

from yimatong.kit.clock import BEIJING
from yimatong.reconciliation import engine
from yimatong.reconciliation.bills.registry import bill_format
from yimatong.reconciliation.errors import NotConserved
from yimatong.reconciliation.matching import CLASSES, Finding, Movement, Pooled, Tally, compare, pair_neighbours

FORM = bill_format("wechat")


def run(platform, lines):
    return engine.reconcile(platform, bill(lines), FORM, merchant_id=MERCHANT)


def classes(outcome):
    return {(each.klass, each.kind, each.number) for each in outcome.findings}


def test_a_clean_day():
    lines = [*payments(50), Line("R1", 300, kind="refund", state="SUCCESS")]
    outcome = run([line.movement() for line in lines], lines)
    assert outcome.findings == []
    assert [(t.klass, t.kind, t.platform_rows, t.bill_rows) for t in outcome.tallies] == [
        ("matched", "payment", 50, 50),
        ("matched", "refund", 1, 1),
    ]


def test_each_planted_kind_is_found_with_its_own_row():
    lines = [*payments(20), *(Line(f"R{each}", 50 + each, kind="refund", state="SUCCESS") for each in range(5))]
    platform = [line.movement() for line in lines]
    on_bill = list(lines)
    on_bill[0] = replace(lines[0], fen=lines[0].fen + 1)
    on_bill[1] = replace(lines[1], fee=lines[1].due + Decimal("0.01"))
    on_bill[2] = replace(lines[2], state="REVOKED")
    on_bill[21] = replace(lines[21], fen=9)
    del on_bill[22]
    del on_bill[3]
    on_bill += [lines[5], Line("stranger", 700)]
    outcome = run(platform, on_bill)
    assert classes(outcome) == {
        ("amount", "payment", lines[0].number),
        ("fee", "payment", lines[1].number),
        ("status", "payment", lines[2].number),
        ("platform_only", "payment", lines[3].number),
        ("duplicate", "payment", lines[5].number),
        ("channel_only", "payment", "stranger"),
        ("amount", "refund", "R1"),
        ("platform_only", "refund", "R2"),
    }
    amount = next(each for each in outcome.findings if each.klass == "amount" and each.kind == "payment")
    assert (amount.platform.amount_fen, amount.bill.amount_fen, amount.bill_line) == (100, 101, 2)
    fee = next(each for each in outcome.findings if each.klass == "fee")
    assert fee.bill.fee - fee.bill.fee_due == Decimal("0.01")


def test_a_fee_that_the_platform_knows_must_be_exact():
    line = Line("A1", 10_000, fee=Decimal("0.60001"))
    assert run([line.movement()], [line]).findings == []
    assert classes(run([line.movement(fee=Decimal("0.6"))], [line])) == {("fee", "payment", "A1")}


@pytest.mark.parametrize("state", ["succeeded", "processing", "abnormal", "unknown"])
def test_a_bill_cannot_know_what_became_of_a_refund(state):
    line = Line("R1", 10, kind="refund", state="PROCESSING")
    assert run([line.movement(state=state)], [line]).findings == []
    settled = replace(line, state="SUCCESS")
    assert bool(run([line.movement(state=state)], [settled]).findings) == (state != "succeeded")


def test_a_payment_and_a_refund_of_one_number_are_two_things():
    line = Line("N", 10)
    assert classes(run([line.movement()], [replace(line, kind="refund")])) == {
        ("platform_only", "payment", "N"),
        ("channel_only", "refund", "N"),
    }


def test_among_duplicates_the_row_that_fits_is_matched():
    fits, other = Line("A1", 500), Line("A1", 100)
    outcome = run([fits.movement()], [other, fits, fits])
    assert Counter(each.klass for each in outcome.findings) == {"duplicate": 2}
    assert [each.bill.amount_fen for each in outcome.findings] == [500, 100]


def test_numbers_with_quotes_commas_and_nulls():
    lines = [Line(number, 5) for number in ('a,"b"', "\\N", "''", "NULL", " x ", "一,二")]
    assert run([line.movement() for line in lines], lines).findings == []


def test_moments_come_back_as_they_went_in():
    beijing = NOON.astimezone(BEIJING) + timedelta(microseconds=123)
    (found,) = run([Line("A1", 5, at=beijing).movement()], []).findings
    assert found.platform.at == beijing


def test_a_lost_row_is_an_error():
    tally = Tally(klass="matched", kind="payment", platform_rows=2, platform_fen=30, bill_rows=2, bill_fen=30)
    engine.check_conserved([tally], {"platform": {"payment": (2, 30)}, "bill": {"payment": (2, 30)}})
    for wrong in ((3, 30), (2, 31)):
        with pytest.raises(NotConserved):
            engine.check_conserved([tally], {"platform": {"payment": wrong}, "bill": {"payment": (2, 30)}})


numbers = st.sampled_from(["A1", "A2", "A3", "A4", "R1"])
lines_of_a_day = st.lists(
    st.builds(
        Line,
        number=numbers,
        fen=st.sampled_from([100, 200, 300]),
        kind=st.sampled_from(["payment", "refund"]),
        fee=st.sampled_from([None, Decimal("5.00000")]),
        state=st.sampled_from(["SUCCESS", "PROCESSING", "ABNORMAL"]),
    ),
    max_size=12,
)


def expected_classes(platform, rows):
    """The same day by dictionaries: a reference that is too slow and too plain to be wrong."""
    found = Counter()
    for kind, number in {(each.kind, each.number) for each in (*platform, *rows)}:
        ours = [each for each in platform if (each.kind, each.number) == (kind, number)]
        theirs = [each for each in rows if (each.kind, each.number) == (kind, number)]
        found["duplicate"] += max(len(ours) - 1, 0) + max(len(theirs) - 1, 0)
        if not theirs:
            found["platform_only"] += 1
        elif not ours:
            found["channel_only"] += 1
        elif not {each.amount_fen for each in ours} & {each.amount_fen for each in theirs}:
            found["amount"] += 1
        elif len(ours) == len(theirs) == 1:
            found[compare(ours[0], theirs[0])] += 1
        else:
            found["settled by rank"] += 1
    return +found


@settings(max_examples=40, deadline=None)
@given(lines_of_a_day, lines_of_a_day, st.randoms(use_true_random=False))
def test_partition_conservation_and_order(ours, theirs, chance):
    platform = [line.movement() for line in ours]
    outcome = run(platform, theirs)
    by_side = {
        "platform": sum(tally.platform_rows for tally in outcome.tallies),
        "bill": sum(tally.bill_rows for tally in outcome.tallies),
    }
    assert by_side == {"platform": len(ours), "bill": len(theirs)}
    assert sum(tally.platform_fen for tally in outcome.tallies) == sum(line.fen for line in ours)
    assert sum(tally.bill_fen for tally in outcome.tallies) == sum(line.fen for line in theirs)
    assert all(tally.klass in CLASSES for tally in outcome.tallies)
    found = Counter()
    for tally in outcome.tallies:
        both = tally.platform_rows + tally.bill_rows
        found[tally.klass] += both if tally.klass == "duplicate" else max(tally.platform_rows, tally.bill_rows)
    wanted = expected_classes(platform, list(FORM.rows(bill(theirs), MERCHANT)))
    ranked = wanted.pop("settled by rank", 0)
    assert not wanted - found
    assert (found - wanted).total() == ranked
    chance.shuffle(platform)
    again = run(platform, chance.sample(theirs, len(theirs)))
    assert again.tallies == outcome.tallies
    assert [without_line(each) for each in again.findings] == [without_line(each) for each in outcome.findings]


def without_line(finding):
    return finding.klass, finding.kind, finding.number, finding.rank, finding.platform, finding.bill


DAY = date(2026, 11, 22)


def alone(klass, number, fen=100, *, line=None):
    movement = Movement(
        kind="payment", number=number, channel_no="", amount_fen=fen, state="succeeded", at=NOON, fee=None
    )
    side = {"platform": movement} if klass == "platform_only" else {"bill": movement, "bill_line": line or 2}
    return Finding(klass=klass, kind="payment", number=number, **side)


def test_a_partner_on_the_neighbour_s_bill_is_cross_day():
    before, after = DAY - timedelta(days=1), DAY + timedelta(days=1)
    mine, theirs = pair_neighbours(
        DAY,
        [
            alone("platform_only", "A"),
            alone("channel_only", "B"),
            alone("platform_only", "C"),
            alone("platform_only", "D"),
        ],
        [
            Pooled(day=after, finding=alone("channel_only", "A")),
            Pooled(day=before, finding=alone("platform_only", "B")),
            Pooled(day=before, finding=alone("platform_only", "C")),
            Pooled(day=after, finding=alone("channel_only", "D", 101)),
        ],
    )
    assert [(each.number, each.klass, each.partner_day) for each in mine] == [
        ("A", "cross_day", after),
        ("B", "cross_day", before),
        ("C", "platform_only", None),
        ("D", "amount", after),
    ]
    assert {(each.finding.number, each.finding.klass, each.finding.partner_day) for each in theirs} == {
        ("A", "cross_day", DAY),
        ("B", "cross_day", DAY),
        ("C", "platform_only", None),
        ("D", "amount", DAY),
    }


def test_a_row_of_the_pool_is_used_once():
    pool = [Pooled(day=DAY - timedelta(days=1), finding=alone("platform_only", "A"))]
    mine, theirs = pair_neighbours(DAY, [alone("channel_only", "A", line=2), alone("channel_only", "A", line=3)], pool)
    assert [each.klass for each in mine] == ["cross_day", "channel_only"]
    assert len(theirs) == 1


def test_speed_beside_plain_python(capsys):
    """Printed, not judged: machines differ. The agreement is judged."""
    lines = payments(100_000)
    chance = random.Random(11)
    odd = set(chance.sample(range(len(lines)), 300))
    on_bill = [replace(line, fen=line.fen + 1) if n in odd else line for n, line in enumerate(lines)]
    platform, content = [line.movement() for line in lines], bill(on_bill)
    began = time.perf_counter()
    outcome = engine.reconcile(platform, content, FORM, merchant_id=MERCHANT)
    ours_s = time.perf_counter() - began
    began = time.perf_counter()
    rows = {(each.kind, each.number): each for each in FORM.rows(content, MERCHANT)}
    known = {(each.kind, each.number): each for each in platform}
    differing = {key[1] for key in rows.keys() & known.keys() if compare(known[key], rows[key]) != "matched"}
    plain_s = time.perf_counter() - began
    assert outcome.read_fast
    assert differing == {each.number for each in outcome.findings} == {lines[n].number for n in odd}
    with capsys.disabled():
        print(f"\n100,000 x 100,000: duckdb {ours_s:.2f} s, plain python {plain_s:.2f} s")  # noqa: T201
