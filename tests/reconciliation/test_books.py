from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from made import MERCHANT, NOON, Line, bill
from sqlalchemy import text

from yimatong.access.caller import PLATFORM
from yimatong.reconciliation import books, engine, queries
from yimatong.reconciliation.bills.registry import bill_format
from yimatong.reconciliation.errors import NotConserved
from yimatong.reconciliation.matching import Tally

FORM = bill_format("wechat")
DAY = date(2026, 11, 22)
ONE = timedelta(days=1)
A, B, C, D = (Line(name, 100 + place) for place, name in enumerate("ABCD"))
R = Line("R", 50, kind="refund", state="SUCCESS")


async def keep(connection, day, platform, lines):
    outcome = engine.reconcile(
        [line.movement() for line in platform], bill(lines), FORM, merchant_id=MERCHANT, threads=1
    )
    own = books.Day(
        channel="wechat", account_id="acc", institution_id="hospital-1", bill_date=day, bill_bytes=1, bill_sha256="x"
    )
    return await books.keep(
        connection, own, tallies=outcome.tallies, findings=outcome.findings, started_at=NOON, now=NOON
    )


async def rows(connection):
    found = await connection.execute(
        text("SELECT bill_date, kind, number, side, partner_day FROM reconciliation_row ORDER BY 1, 2, 3, 4")
    )
    return [tuple(each) for each in found]


async def states(connection):
    found = await queries.page(connection, scope=PLATFORM, limit=200)
    return {(each.kind, each.number): each.state for each in found.discrepancies}


async def tallies(connection):
    found = await queries.runs(connection, scope=PLATFORM, first=DAY - 9 * ONE, last=DAY + 9 * ONE)
    return {each.bill_date: each.tallies for each in found}


async def test_a_late_row_moves_and_its_discrepancy_is_verified(connection):
    await keep(connection, DAY, [A, B], [B])
    assert await states(connection) == {("platform_only", "A"): "open"}
    kept = await keep(connection, DAY + ONE, [C], [A, C])
    assert [(each.klass, each.partner_day) for each in kept.findings] == [("cross_day", DAY)]
    assert await rows(connection) == [
        (DAY, "cross_day", "A", "platform", DAY + ONE),
        (DAY + ONE, "cross_day", "A", "bill", DAY),
    ]
    assert await states(connection) == {("platform_only", "A"): "verified"}
    counted = {
        (day, t.klass): (t.platform_rows, t.bill_rows) for day, ts in (await tallies(connection)).items() for t in ts
    }
    assert counted == {
        (DAY, "matched"): (1, 1),
        (DAY, "cross_day"): (1, 0),
        (DAY + ONE, "matched"): (1, 1),
        (DAY + ONE, "cross_day"): (0, 1),
    }


async def test_a_partner_that_disappears_opens_the_discrepancy_again(connection):
    await keep(connection, DAY, [A], [])
    await keep(connection, DAY + ONE, [], [A])
    await keep(connection, DAY + ONE, [], [])
    assert await rows(connection) == [(DAY, "platform_only", "A", "platform", None)]
    assert await states(connection) == {("platform_only", "A"): "open"}


async def test_a_late_row_with_another_amount_is_one_discrepancy(connection):
    await keep(connection, DAY, [A], [])
    await keep(connection, DAY + ONE, [], [Line("A", 999)])
    assert [each[1:4] for each in await rows(connection)] == [("amount", "A", "platform"), ("amount", "A", "bill")]
    assert await states(connection) == {("platform_only", "A"): "verified", ("amount", "A"): "open"}
    found = await queries.page(connection, scope=PLATFORM, kind="amount")
    assert [(each.platform_fen, each.bill_fen, each.difference_fen) for each in found.discrepancies] == [
        (100, 999, 899)
    ]


async def test_a_settled_state_is_not_undone_by_a_run(connection):
    await keep(connection, DAY, [A], [])
    await connection.execute(text("UPDATE reconciliation_discrepancy SET state = 'proposed'"))
    await keep(connection, DAY, [A], [])
    assert await states(connection) == {("platform_only", "A"): "proposed"}


DAYS = {
    DAY - ONE: ([A, B, R], [B]),
    DAY: ([C, D], [A, A, Line("C", 7), Line("X", 5)]),
    DAY + ONE: ([Line("X", 5)], [D, R]),
}


@pytest.mark.parametrize("order", list(itertools.permutations(DAYS)), ids=str)
async def test_the_order_of_days_and_repeats_are_of_no_account(connection, order):
    for day in (*order, *order[:2]):
        await keep(connection, day, *DAYS[day])
    assert await rows(connection) == [
        (DAY - ONE, "cross_day", "A", "platform", DAY),
        (DAY - ONE, "platform_only", "R", "platform", None),
        (DAY, "amount", "C", "both", None),
        (DAY, "cross_day", "A", "bill", DAY - ONE),
        (DAY, "cross_day", "D", "platform", DAY + ONE),
        (DAY, "cross_day", "X", "bill", DAY + ONE),
        (DAY, "duplicate", "A", "bill", None),
        (DAY + ONE, "channel_only", "R", "bill", None),
        (DAY + ONE, "cross_day", "D", "bill", DAY),
        (DAY + ONE, "cross_day", "X", "platform", DAY),
    ]
    live = {key for key, state in (await states(connection)).items() if state == "open"}
    assert live == {("platform_only", "R"), ("channel_only", "R"), ("amount", "C"), ("duplicate", "A")}


async def test_findings_that_do_not_fit_the_tallies_are_refused(connection):
    own = books.Day(channel="wechat", account_id="acc", institution_id="h", bill_date=DAY)
    lost = [Tally(klass="fee", kind="payment", platform_rows=1, platform_fen=5, bill_rows=1, bill_fen=5)]
    with pytest.raises(NotConserved):
        await books.keep(connection, own, tallies=lost, findings=[], started_at=NOON, now=NOON)
