from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yimatong.sandbox.wechat import bill
from yimatong.sandbox.wechat.rows import Merchant, Order, Refund

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
MERCHANT = Merchant(mchid="1900000109", appid="wx88", serial_no="S", public_key_pem="", api_v3_key="")


def order(number: int, *, total_fen: int = 1000, paid_at: datetime = NOON) -> Order:
    return Order(
        mchid="1900000109",
        appid="wx88",
        out_trade_no=f"ORDER{number:06d}",
        trade_type="NATIVE",
        description="门诊,缴费",
        attach="",
        notify_url="",
        total_fen=total_fen,
        time_expire=None,
        openid="o1",
        digest="",
        prepay_id=f"wx{number}",
        pr=f"p{number}",
        created_at=NOON,
        trade_state="SUCCESS",
        transaction_id=f"42{number:026d}",
        paid_at=paid_at,
    )


def refund(number: int, refund_fen: int) -> Refund:
    return Refund(
        mchid="1900000109",
        out_refund_no=f"R{number}",
        refund_id=f"50{number:026d}",
        out_trade_no=f"ORDER{number:06d}",
        transaction_id=f"42{number:026d}",
        refund_fen=refund_fen,
        total_fen=1000,
        reason="",
        notify_url="",
        digest="",
        created_at=NOON + timedelta(minutes=1),
        settles_at=NOON,
        settles_as="SUCCESS",
    )


def read(text: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Read a bill as its receiver would, by header names, splitting on comma and back-tick."""
    lines = text.split("\r\n")
    assert lines.pop() == ""
    columns, totals = lines[0].split(","), lines[-2].split(",")
    rows = [dict(zip(columns, line[1:].split(",`"), strict=True)) for line in lines[1:-2]]
    return rows, dict(zip(totals, lines[-1][1:].split(",`"), strict=True))


def test_layout_all_has_27_columns_and_exact_fees():
    text = bill.render(bill.rows_of(DAY, [order(1, total_fen=101)], []), "ALL")
    rows, totals = read(text)
    assert len(rows[0]) == 27
    assert rows[0]["交易时间"] == "2026-11-23 12:00:00"
    assert (rows[0]["手续费"], rows[0]["费率"], rows[0]["订单金额"]) == ("0.00606", "0.60%", "1.01")
    assert rows[0]["商品名称"] == "门诊,缴费"
    assert totals["总交易单数"] == "1"
    assert text.split("\r\n")[1].endswith(",`")


def test_refund_row_and_the_three_types():
    rows = bill.rows_of(DAY, [order(1), order(2)], [refund(1, 300)])
    everything, totals = read(bill.render(rows, "ALL"))
    assert [row["交易状态"] for row in everything] == ["SUCCESS", "SUCCESS", "REFUND"]
    back = everything[2]
    assert (back["退款金额"], back["手续费"], back["应结订单金额"]) == ("3.00", "-0.01800", "0.00")
    assert (back["商户退款单号"], back["退款类型"], back["退款状态"]) == ("R1", "ORIGINAL", "PROCESSING")
    assert (totals["订单总金额"], totals["退款总金额"], totals["手续费总金额"]) == ("20.00", "3.00", "0.10200")
    assert len(read(bill.render(rows, "SUCCESS"))[0]) == 2
    only = read(bill.render(rows, "REFUND"))[0]
    assert len(only) == 1
    assert len(only[0]) == 29
    assert only[0]["退款申请时间"] == "2026-11-23 12:01:00"


def test_a_day_is_the_beijing_day():
    before = datetime(2026, 11, 22, 15, 59, 59, tzinfo=UTC)
    assert bill.rows_of(DAY, [order(1, paid_at=before)], []) == []
    assert len(bill.rows_of(DAY, [order(1, paid_at=before + timedelta(seconds=1))], [])) == 1


@given(st.integers(8, 40), st.integers(0, 5), st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_kind_is_planted_and_shows_as_it_says(size, refunds, seed, count):
    rows = bill.rows_of(DAY, [order(n) for n in range(size)], [refund(n, 300) for n in range(refunds)])
    plan = bill.Plan(DAY, rows, [MERCHANT], seed=seed)
    plan.plant(bill.KINDS, count)
    shown, _ = read(bill.render(plan.result(), "ALL"))
    found = Counter((row["商户订单号"], row["商户退款单号"]) for row in shown)
    planted = Counter(each.kind for each in plan.planted)
    for kind in bill.KINDS:
        assert planted[kind] + plan.short.get(kind, 0) == count
    first_round = set(bill.KINDS) - ({"refund_amount"} if refunds == 0 else set())
    if refunds not in (0, 1, 2):
        assert first_round <= set(planted)
    touched = [(each.out_trade_no, each.out_refund_no or "0") for each in plan.planted]
    assert len(touched) == len(set(touched))
    for each in plan.planted:
        key = (each.out_trade_no, each.out_refund_no or "0")
        assert found[key] == {"platform_only": 0, "cross_day": 0, "duplicate": 2}.get(each.kind, 1)
        row = next((row for row in shown if (row["商户订单号"], row["商户退款单号"]) == key), None)
        if row is not None:
            assert row["交易状态"] == each.shown["state"]
            assert row["手续费"] == each.shown["fee_yuan"]
            assert Decimal(row["订单金额"]) * 100 == each.shown["amount_fen"]
        if each.kind not in ("platform_only", "cross_day", "duplicate"):
            assert {name: value for name, value in each.shown.items() if name != "rows"} != each.true
    untouched = {(row.out_trade_no, row.out_refund_no or "0") for row in rows} - set(touched)
    assert all(found[key] == 1 for key in untouched)


def test_the_same_seed_plants_the_same():
    rows = bill.rows_of(DAY, [order(n) for n in range(20)], [])

    def bill_text(seed: int) -> str:
        plan = bill.Plan(DAY, rows, [MERCHANT], seed=seed)
        plan.plant(["amount", "channel_only", "fee"], 2)
        return bill.render(plan.result(), "ALL")

    assert bill_text(1) == bill_text(1)
    assert bill_text(1) != bill_text(2)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_small_days_say_what_is_short(size):
    plan = bill.Plan(DAY, bill.rows_of(DAY, [order(n) for n in range(size)], []), [MERCHANT], seed=3)
    plan.plant(["amount", "fee", "channel_only"], 1)
    assert [each.kind for each in plan.planted] == [*["amount", "fee"][:size], "channel_only"]
    assert plan.short == ({} if size == 2 else {"fee": 1} if size == 1 else {"amount": 1, "fee": 1})
