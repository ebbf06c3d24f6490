from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import ALL, MERCHANT, NOON, OLD, OLD_SUMMARY, Line, bill, payments, replace, row

from yimatong.reconciliation import engine
from yimatong.reconciliation.bills.registry import bill_format
from yimatong.reconciliation.errors import (
    BillCellWrong,
    BillColumnMissing,
    BillFormatUnknown,
    BillLineBroken,
    BillNotText,
    BillOfAnother,
    BillSummaryWrong,
    BillTruncated,
)
from yimatong.sandbox.wechat import bill as sandbox_bill

FORM = bill_format("wechat")
REFUND = Line("R1", 250, kind="refund", channel_no="5030", state="PROCESSING")


def spec(content, merchant_id=MERCHANT):
    return list(FORM.rows(content, merchant_id))


def fast(content):
    return engine.read_bill(content, FORM, merchant_id=MERCHANT)


def both(content):
    rows = spec(content)
    assert fast(content) == rows
    return rows


def test_payment_and_refund_of_today_s_layout():
    first, second = both(bill([Line("A1", 12345, at=NOON), REFUND]))
    assert (first.line, first.kind, first.number, first.channel_no) == (2, "payment", "A1", "42000")
    assert (first.amount_fen, first.fee, first.fee_due) == (12345, Decimal("0.74070"), Decimal("0.74070"))
    assert (first.state, first.at) == ("succeeded", datetime(2026, 11, 22, 4, tzinfo=UTC))
    assert (second.line, second.kind, second.number, second.channel_no) == (3, "refund", "R1", "5030")
    assert (second.amount_fen, second.fee, second.fee_due) == (250, Decimal("-0.01500"), None)
    assert second.state == "processing"


def test_published_sample_of_the_old_layout():
    # developers.weixin.qq.com, 下载交易账单, the sample (its full-width colons set right)
    sample = (
        "`2014-11-10 16:33:45,`wx2421b1c4370ec43b,`10000100,`0,`1000,`1001690740201411100005734289,`1415640626,"
        "`085e9858e3ba5186aafcbaed1,`MICROPAY,`SUCCESS,`CFT,`CNY,`0.01,`0.0,`0,`0,`0,`0,`,`,`被扫支付测试,`订单额外描述,"
        "`0,`0.60%"
    )
    text = "\n".join([",".join(OLD), sample, ",".join(OLD_SUMMARY), "`1,`0.01,`0.0,`0.0,`0"])
    (found,) = spec(text.encode(), "10000100")
    assert (found.number, found.amount_fen, found.fee, found.fee_due) == ("1415640626", 1, 0, Decimal("0.00006"))
    assert found.at == datetime(2014, 11, 10, 8, 33, 45, tzinfo=UTC)
    assert engine.read_bill(text.encode(), FORM, merchant_id="10000100") == [found]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize(
    ("columns", "summary"),
    [
        (ALL, None),
        (OLD, OLD_SUMMARY),
        ([*ALL, "新增列"], None),
        ([*reversed(ALL)], None),
        ([*ALL[:14], "退款申请时间", "退款成功时间", *ALL[14:]], None),
    ],
    ids=["27", "24", "unknown column", "other order", "REFUND"],
)
def test_layouts(end, bom, columns, summary):
    options = {} if summary is None else {"summary": summary}
    lines = [*payments(5), REFUND]
    rows = both(bill(lines, list(columns), end=end, bom=bom, **options))
    assert [(each.number, each.amount_fen, each.kind) for each in rows] == [(e.number, e.fen, e.kind) for e in lines]


def test_success_layout_has_no_refund_columns():
    columns = [column for column in ALL if "退款" not in column]
    assert len(both(bill(payments(3), columns))) == 3


def test_refund_bill_counts_from_the_moment_of_the_refund():
    columns = [*ALL[:14], "退款申请时间", "退款成功时间", *ALL[14:]]
    cells = REFUND.cells() | {"交易时间": "2026-11-01 09:00:00", "退款申请时间": "2026-11-22 12:00:00"}
    own = ",".join(f"`{cells.get(column, '')}" for column in columns)
    content = bill([REFUND], columns).decode().replace(row(REFUND, columns), own).encode()
    assert both(content)[0].at == NOON


@pytest.mark.parametrize(
    "name", ["挂号,内科", '药品 "甲"', "`单引号`", "a`,b", "'; DROP TABLE bill", "𠮷·阿依", "\x85\u2028", "\t"]
)
def test_names_with_commas_quotes_and_back_ticks(name):
    assert [each.number for each in both(bill([Line("A1", 100, name=name), Line("A2", 200)]))] == ["A1", "A2"]


def test_a_day_without_rows():
    assert both(bill([])) == []


def test_revoked_without_a_refund_number_is_a_payment_in_another_state():
    assert both(bill([Line("A1", 100, state="REVOKED")]))[0].state == "revoked"


def broken(change, lines=None):
    content = bill(payments(3) if lines is None else lines)
    made = change(content)
    assert made != content
    return made


@pytest.mark.parametrize(
    ("change", "error", "facts"),
    [
        (lambda c: c.replace("手续费,".encode(), b"", 1), BillColumnMissing, {"line": 1, "column": "手续费"}),
        (lambda c: c.replace("退款状态".encode(), b"x", 1), BillColumnMissing, {"line": 1, "column": "退款状态"}),
        (lambda c: b"<xml><return_code>FAIL</return_code></xml>\n", BillColumnMissing, {"line": 1}),
        (lambda c: b"", BillTruncated, {"line": 0}),
        (lambda c: c.replace(b"`1.07", b"`1.073", 1), BillCellWrong, {"line": 3}),
        (lambda c: c.replace(b"`1.07", b"`1e2", 1), BillCellWrong, {"line": 3}),
        (lambda c: c.replace(b"`1.07", b"`-1.07", 1), BillCellWrong, {"line": 3}),
        (lambda c: c.replace(b"2026-11-22", b"2026-02-30", 1), BillCellWrong, {"line": 2, "column": "交易时间"}),
        (lambda c: c.replace(b"`CNY", b"`USD", 1), BillCellWrong, {"line": 2, "column": "货币种类"}),
        (lambda c: c.replace(b"`SUCCESS", b"`REFUND", 1), BillCellWrong, {"line": 2, "column": "商户退款单号"}),
        (lambda c: c.replace(b"`1900000109", b"`1900000110", 1), BillOfAnother, {"line": 2}),
        (lambda c: c.replace(b"`NATIVE", b"`NAT,`IVE", 1), BillLineBroken, {"line": 2, "found": 28}),
        (lambda c: c.replace(b"\r\n", b"\r\n\r\n", 2), BillLineBroken, {"line": 2, "found": 1}),
        (lambda c: c.decode().encode("gbk"), BillNotText, {"line": 1}),
        (lambda c: c.replace("门诊".encode(), "门诊".encode("gbk"), 1), BillNotText, {"line": 2}),
        (lambda c: c[: c.rindex("总交易单数".encode())], BillTruncated, {"line": 4}),
        (lambda c: c[: c.rindex("总交易单数".encode()) - 30], BillTruncated, {"line": 4}),
        (lambda c: c[: c.rindex("门诊".encode()) + 1], BillTruncated, {"line": 4}),
        (lambda c: c[: c.rindex(b"`")], BillTruncated, {"line": 6}),
        (lambda c: c[: c.rindex(b"`3,")], BillTruncated, {"line": 5}),
    ],
)
def test_broken_bills_name_line_and_column(change, error, facts):
    content = broken(change)
    with pytest.raises(error) as caught:
        spec(content)
    assert {name: caught.value.facts[name] for name in facts} == facts
    assert fast(content) is None
    with pytest.raises(error):
        engine.reconcile([], content, FORM, merchant_id=MERCHANT)


@pytest.mark.parametrize(
    "column", ["总交易单数", "应结订单总金额", "退款总金额", "手续费总金额", "订单总金额", "申请退款总金额"]
)
def test_a_wrong_summary_is_refused(column):
    content = bill([*payments(3), REFUND], stated={column: "999"})
    with pytest.raises(BillSummaryWrong) as caught:
        spec(content)
    assert (caught.value.facts["column"], caught.value.facts["stated"]) == (column, "999")
    assert fast(content) is None


def test_a_row_that_was_cut_out_shows_in_the_summary():
    lines = payments(3)
    content = bill(lines).replace(row(lines[1]).encode() + b"\r\n", b"")
    with pytest.raises(BillSummaryWrong):
        spec(content)


def test_an_unknown_channel_has_no_parser():
    with pytest.raises(BillFormatUnknown):
        bill_format("abacus")


def test_line_numbers_hold_over_many_blocks_of_a_large_bill():
    rows = both(bill(payments(30_000)))
    assert [each.line for each in rows] == list(range(2, 30_002))


@pytest.mark.parametrize("bill_type", ["ALL", "SUCCESS", "REFUND"])
def test_the_simulator_s_bill(bill_type):
    paid = sandbox_bill.BillRow(
        moment=NOON,
        appid="wx8888888888888888",
        mchid=MERCHANT,
        transaction_id="42001",
        out_trade_no="P00000000000000000001A01",
        openid="oPayer",
        trade_type="NATIVE",
        state="SUCCESS",
        total_fen=5_000,
        description="门诊,缴费",
        attach="",
        fee_yuan=sandbox_bill.fee(5_000),
    )
    import msgspec

    refund = msgspec.structs.replace(
        paid,
        state="REFUND",
        total_fen=0,
        fee_yuan=-sandbox_bill.fee(800),
        refund_id="50301",
        out_refund_no="P00000000000000000001R01",
        refund_fen=800,
        refund_status="SUCCESS",
        refunded_at=NOON,
    )
    rows = both(sandbox_bill.render([paid, refund], bill_type).encode())
    found = {(each.kind, each.number, each.amount_fen, each.state) for each in rows}
    everything = {
        ("payment", "P00000000000000000001A01", 5_000, "succeeded"),
        ("refund", "P00000000000000000001R01", 800, "succeeded"),
    }
    assert found == {each for each in everything if bill_type in ("ALL", {"payment": "SUCCESS"}.get(each[0], "REFUND"))}


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0\x01"), max_size=12).filter(
    lambda text: ",`" not in text
)
lines_of_bills = st.lists(
    st.builds(
        Line,
        number=cells.filter(lambda text: text not in ("", "0")),
        fen=st.integers(0, 10**9),
        kind=st.sampled_from(["payment", "refund"]),
        fee=st.decimals(-1000, 1000, places=5),
        state=st.sampled_from(["SUCCESS", "PROCESSING", "REVOKED", "CHANGE", "FAIL", "ABNORMAL"]),
        name=cells,
        channel_no=cells,
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(lines_of_bills, st.booleans())
def test_both_readers_agree_on_any_bill(lines, old):
    content = bill(lines, OLD, OLD_SUMMARY) if old else bill(lines)
    assert [(e.number, e.amount_fen) for e in both(content)] == [(line.number, line.fen) for line in lines]


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_damage_is_read_in_two_ways(data):
    content = bill([*payments(3), replace(REFUND, state="SUCCESS")])
    at = data.draw(st.integers(0, len(content) - 1))
    damage = data.draw(st.sampled_from([b"", b"`", b",", b"\n", b"\r", b"0", b"-", b"\xff", b",`", b'"', b"\0", b" "]))
    changed = content[:at] + damage + content[at + 1 :]
    try:
        expected = spec(changed)
    except (
        BillNotText,
        BillColumnMissing,
        BillLineBroken,
        BillCellWrong,
        BillOfAnother,
        BillTruncated,
        BillSummaryWrong,
    ):
        assert fast(changed) is None
    else:
        found = fast(changed)
        assert found is None or found == expected
