"""The cashier over HTTP, against the simulated WeChat Pay on the wire."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from yimatong.kit import clock

PHONE = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"}


@pytest.fixture
def cashier(visitor, stage, run_async):
    """Open the cashier of a fresh order; return its number."""

    def opened(**bill):
        order_no = run_async(stage.bill(**bill))
        assert visitor.look(f"/cashier/open/{run_async(stage.link('cashier', order_no))}").status_code == 303
        assert visitor.look("/cashier").status_code == 200
        return order_no

    return opened


def _page(visitor) -> str:
    return visitor.look("/cashier").text


def test_what_is_paid_for(visitor, cashier):
    order_no = cashier(fen=1_234_567)
    text = _page(visitor)
    for part in ("西安市第一人民医院（演示）", "¥</small>12,345.67", order_no, "诊察费", "血常规", "微信支付"):
        assert part in text
    assert 'data-face="choose"' in text


def test_computer_shows_a_code_then_paid(visitor, cashier, stage, run_async):
    order_no = cashier()
    assert visitor.submit("/cashier/pay", channel="wechat").headers["location"] == "/cashier"
    text = _page(visitor)
    assert 'data-face="wait"' in text
    assert "请打开手机微信，扫一扫付款" in text
    assert 'shape-rendering="crispEdges"' in text
    seen = text.split('hx-get="/cashier/state?seen=')[1].split('"')[0]
    waiting = visitor.get(f"/cashier/state?seen={seen}")
    assert waiting.status_code == 204
    assert "hx-refresh" not in waiting.headers
    run_async(stage.pay(order_no))
    assert visitor.get(f"/cashier/state?seen={seen}").headers["hx-refresh"] == "true"
    text = _page(visitor)
    assert 'data-face="paid"' in text
    assert "支付成功" in text
    assert order_no in text


def test_paying_twice_goes_on_with_one_attempt(visitor, cashier, stage):
    order_no = cashier()
    for _ in range(3):
        visitor.submit("/cashier/pay", channel="wechat")
    with psycopg.connect(stage.settings.database_url) as connection:
        rows = connection.execute("SELECT count(*) FROM payments_attempt WHERE order_no = %s", [order_no]).fetchone()
    assert rows[0] == 1


def test_phone_jumps(visitor, cashier):
    cashier()
    visitor.headers.update(PHONE)
    visitor.submit("/cashier/pay", channel="wechat")
    text = _page(visitor)
    assert 'id="jump"' in text
    assert "打开微信" in text


def test_asking_by_hand_finds_the_payment(visitor, cashier, stage):
    order_no = cashier()
    visitor.submit("/cashier/pay", channel="wechat")
    assert visitor.submit("/cashier/ask").headers["location"] == "/cashier?asked=1"
    assert "支付渠道暂未确认收款" in visitor.get("/cashier?asked=1").text
    stage.world.control("/control/wechat/pay", {"out_trade_no": f"{order_no}A01"})
    visitor.submit("/cashier/ask")
    assert 'data-face="paid"' in _page(visitor)


def test_unknown_outcome_is_asked_and_never_failed(visitor, cashier, stage):
    cashier()
    visitor.submit("/cashier/pay", channel="wechat")
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        connection.execute("UPDATE payments_attempt SET state = 'unknown' WHERE state = 'started'")
    text = _page(visitor)
    assert 'data-face="ask"' in text
    assert "请勿重复支付" in text
    assert 'action="/cashier/pay"' not in text


@pytest.mark.parametrize(
    ("values", "face"),
    [
        ({"state": "closed", "closed_at": clock.now()}, "closed"),
        ({"state": "closing"}, "ask"),
        ({"expires_at": clock.now() - timedelta(minutes=1)}, "expired"),
        (
            {
                "state": "partly_refunded", "paid_fen": 12_850, "refund_reserved_fen": 5_000, "refunded_fen": 5_000,
                "paid_at": clock.now(),
            },
            "refunded",
        ),
    ],
)  # fmt: skip
def test_faces(visitor, cashier, stage, run_async, values, face):  # noqa: PLR0917 -- fixtures come by name
    order_no = cashier()
    run_async(stage.set_order(order_no, **values))
    text = _page(visitor)
    assert f'data-face="{face}"' in text
    assert 'action="/cashier/pay"' not in text
    if face == "refunded":
        assert "已部分退款" in text
        assert "¥</small>50.00" in text
        assert "共支付 ¥ 128.50" in text


def test_refusals_are_told_in_place(visitor, cashier):
    cashier()
    answer = visitor.submit("/cashier/pay", channel="alipay")
    assert answer.status_code >= 400
    assert "PAY-1007" in answer.text
    assert 'data-face="choose"' in answer.text
    assert visitor.submit("/cashier/pay", channel="we chat").status_code == 422
    assert visitor.submit("/cashier/pay", channel="wechat", scene="jsapi2").status_code == 422
    assert visitor.post("/cashier/pay", data={"channel": "wechat"}).status_code == 403


def test_card_session_is_no_cashier_session(visitor, open_card):
    open_card("zhang")
    visitor.cookies.set("ymt_cashier", visitor.cookies["ymt_card"], path="/cashier")
    assert visitor.get("/cashier").status_code == 401
