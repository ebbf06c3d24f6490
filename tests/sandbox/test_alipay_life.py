"""The simulated Alipay: notices on their schedule, expiry, bills, and a journal that survives."""

from __future__ import annotations

import asyncio
import base64
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from urllib.parse import parse_qs, parse_qsl

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from yimatong.kit import clock
from yimatong.sandbox.alipay import bill, bill_text, returns
from yimatong.sandbox.alipay.enrolment import app_keys, enrol_app
from yimatong.sandbox.alipay.notify import SCHEDULE_S
from yimatong.sandbox.alipay.requests import Named, Place, PlaceRefund
from yimatong.sandbox.alipay.rows import AlipayError, Conditions, beijing
from yimatong.sandbox.alipay.state import AlipayBooks
from yimatong.sandbox.store import Store

NOW = clock.now()
APP_ID, PID = "2021000000000001", "2088000000000001"
DAY = clock.business_date(NOW)


@pytest.fixture
def books(tmp_path) -> Iterator[AlipayBooks]:
    made = AlipayBooks(Store(tmp_path))
    merchant, _ = app_keys(app_id=APP_ID, pid=PID)
    made.register(merchant)
    yield made
    made.store.close()


def place(books, number, amount="12.34", *, offered=False, notify_url="", method="alipay.trade.create"):
    asked = Place(
        out_trade_no=number,
        total_amount=amount,
        subject="门诊缴费",
        buyer_id="2088102146225135",
        time_expire=f"{(NOW + timedelta(hours=8, minutes=30)):%Y-%m-%d %H:%M:%S}",
    )
    merchant = books.merchants.get(APP_ID)
    return books.place(merchant, method, asked, urls=(notify_url, ""), offered=offered, now=NOW)


def refund(books, number, amount, request_no=""):
    asked = PlaceRefund(out_trade_no=number, refund_amount=amount, out_request_no=request_no)
    return returns.refund(books, books.merchants.get(APP_ID), asked, now=NOW)


def test_no_trade_before_somebody_scans(books):
    trade = place(books, "A1", offered=True)
    with pytest.raises(AlipayError):
        books.trade(books.merchants.get(APP_ID), Named(out_trade_no="A1"), now=NOW)
    books.arrive(trade, now=NOW)
    assert books.trade(books.merchants.get(APP_ID), Named(out_trade_no="A1"), now=NOW).status == "WAIT_BUYER_PAY"


def test_a_payer_who_is_late_finds_it_closed(books):
    place(books, "A1")
    later = NOW + timedelta(minutes=31)
    books.close_expired(now=later)
    assert books.trades.get(f"{APP_ID}/A1").status == "TRADE_CLOSED"
    with pytest.raises(AlipayError) as refused:
        books.pay(place(books, "A2"), now=later)
    assert refused.value.sub_code == "ACQ.TRADE_HAS_CLOSE"


def test_the_same_refund_number_moves_money_once(books):
    books.pay(place(books, "A1"), now=NOW)
    answers = [refund(books, "A1", "10.00", "R1")["fund_change"] for _ in range(3)]
    assert answers == ["Y", "N", "N"]
    assert books.trades.get(f"{APP_ID}/A1").refunded_fen == 1000
    with pytest.raises(AlipayError):
        refund(books, "A1", "1.00")
    assert refund(books, "A1", "2.34", "R2")["refund_fee"] == "12.34"
    assert books.trades.get(f"{APP_ID}/A1").status == "TRADE_CLOSED"


def test_a_restart_remembers(books, tmp_path):
    books.pay(place(books, "A1", notify_url="http://127.0.0.1:9/n"), now=NOW)
    waiting = place(books, "A2")
    books.set_conditions(Conditions(notice_factor=0.5))
    asyncio.run(books.store.flush())
    again = AlipayBooks(Store(tmp_path))
    assert again.trade_of(waiting.token, now=NOW).out_trade_no == "A2"
    assert (len(again.pending), len(again.waiting), again.conditions.notice_factor) == (1, 1, 0.5)
    assert again.key.public_pem == books.key.public_pem
    again.store.close()


def rows(books):
    return bill.rows_of(DAY, books.trades, books.refunds)


def test_the_business_bill_has_its_published_layout(books):
    for number in range(4):
        books.pay(place(books, f"A{number}", f"{10 + number}.00"), now=NOW)
    refund(books, "A0", "10.00", "R1")
    merchant = books.merchants.get(APP_ID)
    packed = bill_text.packed(rows(books), merchant, DAY, kind="trade", exported=NOW)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert [entry.flag_bits & 0x800 for entry in archive.infolist()] == [0, 0]
        names = [name.encode("cp437").decode("gbk") for name in archive.namelist()]
        text, summary = (archive.read(name).decode("gbk") for name in archive.namelist())
    assert names == [f"{PID}0156_{DAY:%Y%m%d}_业务明细.csv", f"{PID}0156_{DAY:%Y%m%d}_业务明细(汇总).csv"]
    lines = text.split("\r\n")
    assert [line[:1] for line in lines[:4]] == ["#"] * 4
    assert (lines[0], lines[1]) == ("#支付宝业务明细查询", f"#账号：[{PID}0156]")
    head = lines[4].split(",")
    assert (len(head), head[0], head[-1]) == (25, "支付宝交易号", "备注")
    cells = [dict(zip(head, line.split(",", 24), strict=True)) for line in lines[5:10]]
    assert [cell["业务类型"] for cell in cells].count("退款") == 1
    back = next(cell for cell in cells if cell["业务类型"] == "退款")
    assert (back["商家实收（元）"], back["退款批次号/请求号"], back["服务费（元）"]) == ("-10.00", "R1\t", "0.00")
    paid = next(cell for cell in cells if cell["商户订单号"] == "A3\t")
    assert (paid["订单金额（元）"], paid["服务费（元）"]) == ("13.00", "-0.08")
    assert lines[10].startswith("#--")
    assert lines[11] == "#交易合计：4笔，商家实收共46.00元，商家优惠共0.00元"
    assert lines[12] == "#退款合计：1笔，商家实收退款共-10.00元，商家优惠退款共0.00元"
    assert "合计\t,\t,4,1,36.00,36.00" in summary


def test_the_funds_file_moves_the_balance(books):
    books.pay(place(books, "A1", "100.00"), now=NOW)
    refund(books, "A1", "40.00", "R1")
    text = bill_text.funds(rows(books), books.merchants.get(APP_ID), DAY, NOW)
    lines = [line.split(",") for line in text.split("\r\n") if line[:1].isdecimal()]
    assert [(line[10], line[6], line[7], line[8]) for line in lines] == [
        ("在线支付", "100.00", "0.00", "100.00"),
        ("收费", "0.00", "-0.60", "99.40"),
        ("交易退款", "0.00", "-40.00", "59.40"),
    ]
    assert "#支出合计：2笔，共-40.60元" in text
    assert "#收入合计：1笔，共100.00元" in text


def test_planted_differences_are_drawn_by_the_seed(books):
    for number in range(12):
        books.pay(place(books, f"A{number:02d}"), now=NOW)
    refund(books, "A00", "1.00", "R1")
    kinds = ("refund_amount", *(kind for kind in bill.KINDS if kind != "refund_amount"))  # there is one refund only
    plans = []
    for seed in (1, 1, 2):
        plan = bill.Plan(DAY, rows(books), list(books.merchants), seed=seed)
        plan.plant(kinds, 1)
        plans.append(plan)
    assert [each.kind for each in plans[0].planted] == list(kinds)
    assert plans[0].planted == plans[1].planted != plans[2].planted
    assert plans[0].short == {}
    short = bill.Plan(DAY, [], list(books.merchants), seed=1)
    short.plant(bill.KINDS, 2)
    assert short.short["amount"] == 2
    shown = [row.out_trade_no for row in plans[0].result()]
    gone = next(each for each in plans[0].planted if each.kind == "platform_only")
    assert len(shown) == 13  # one left out, one carried over; one invented, one twice
    if not gone.out_request_no:
        assert gone.out_trade_no not in shown


class Shop:
    """A merchant's server that keeps every notice and answers ``word``."""

    def __init__(self) -> None:
        self.word = b"success"
        self.got: list[bytes] = []
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                shop.got.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(shop.word)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notify"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def app(world):
    return enrol_app(world.control, app_id=APP_ID, pid=PID)


def opened(world, app, shop, number, amount="12.34") -> str:
    """Let a payer open a page, as the merchant signed it; return the trade's number."""
    parameters = {
        "app_id": APP_ID,
        "method": "alipay.trade.wap.pay",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": beijing(clock.now()),
        "version": "1.0",
        "notify_url": shop.url,
        "biz_content": json.dumps({"out_trade_no": number, "total_amount": amount, "subject": "门诊缴费"}),
    }
    text = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    key = load_pem_private_key(app.private_key_pem.encode(), password=None)
    parameters["sign"] = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), SHA256())).decode()
    assert httpx.get(f"{world.url}/alipay/gateway.do", params=parameters, trust_env=False).status_code == 200
    return number


def test_notices_come_until_the_word_is_success(world, app, shop, until):
    world.control("/control/alipay/conditions", {"notice_factor": 0.0001})
    shop.word = b"failure"
    number = opened(world, app, shop, "NOTICE001")
    world.control("/control/alipay/pay", {"out_trade_no": number})
    until(lambda: len(shop.got) >= 3)
    shop.word = b"success"
    until(lambda: not world.control("/control/alipay/notices?sent=pending"))
    told = [dict(parse_qsl(body.decode())) for body in shop.got]
    assert len({each["notify_id"] for each in told}) == 1
    assert {each["trade_status"] for each in told} == {"TRADE_SUCCESS"}
    assert SCHEDULE_S == (240, 600, 600, 3600, 7200, 21600, 54000)


def test_a_merchant_who_never_says_success_is_given_up(world, app, shop, until):
    world.control("/control/alipay/conditions", {"notice_factor": 0})
    shop.word = b"SUCCESS"
    number = opened(world, app, shop, "NOTICE002")
    world.control("/control/alipay/pay", {"out_trade_no": number})
    until(lambda: world.control("/control/alipay/notices?sent=given_up"))
    assert len(shop.got) == 1 + len(SCHEDULE_S)


def test_forged_doubled_and_dropped_notices(world, app, shop, until):
    world.control("/control/alipay/faults", {"forged_notices": 1, "duplicate_notices": 1, "method": shop.url})
    number = opened(world, app, shop, "NOTICE003")
    world.control("/control/alipay/pay", {"out_trade_no": number})
    until(lambda: len(shop.got) >= 3)
    amounts = [parse_qs(body.decode())["total_amount"][0] for body in shop.got]
    assert amounts == ["912.34", "12.34", "12.34"]
    world.control("/control/alipay/faults", {"drop_notices": 1, "method": shop.url})
    world.control("/control/alipay/finish", {"out_trade_no": number})
    dropped = world.control("/control/alipay/notices?sent=dropped")
    world.control("/control/alipay/notices/send-again", {"notice_id": dropped[0]["notice_id"]})
    until(lambda: len(shop.got) >= 4)
    assert parse_qs(shop.got[-1].decode())["trade_status"] == ["TRADE_FINISHED"]


def test_the_control_port_refuses_what_it_cannot_do(world, app):
    del app
    for path, body in (
        ("pay", {"out_trade_no": "NOBODY"}),
        ("agree", {"external_agreement_no": "NOBODY", "app_id": APP_ID}),
        ("notices/send-again", {"notice_id": "NOBODY"}),
        ("close-day", {"date": date(2026, 1, 1).isoformat(), "kinds": ["weather"]}),
        ("app-pay", {"order_string": "app_id=1"}),
    ):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            world.control(f"/control/alipay/{path}", body)
        assert refused.value.response.status_code == 409
