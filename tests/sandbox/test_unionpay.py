"""The simulated UnionPay: what it refuses, notices on their way, files, and what a restart keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.sandbox.store import Store
from yimatong.sandbox.unionpay import settling
from yimatong.sandbox.unionpay.authority import Authority, check_merchant, verify
from yimatong.sandbox.unionpay.cards import Cards
from yimatong.sandbox.unionpay.enrol import merchant_keys
from yimatong.sandbox.unionpay.requests import braces, check, parse_time, transaction
from yimatong.sandbox.unionpay.rows import Faults, Message, Opening, Transaction, WireError
from yimatong.sandbox.unionpay.state import UnionPay

NOW = clock.now()
MER_ID = "777290058110048"
STAMP = f"{NOW.astimezone(BEIJING):%Y%m%d%H%M%S}"
ASKED = {
    "version": "5.1.0",
    "encoding": "UTF-8",
    "txnType": "01",
    "txnSubType": "01",
    "bizType": "000201",
    "channelType": "07",
    "accessType": "0",
    "merId": MER_ID,
    "orderId": "ORDER0001",
    "txnTime": STAMP,
    "txnAmt": "1234",
    "currencyCode": "156",
    "backUrl": "http://127.0.0.1:9/n",
}


def order(number: str, amount_fen: int = 1234, *, front: bool = True, url: str = "http://127.0.0.1:9/n") -> Transaction:
    asked = ASKED | {"orderId": number, "txnAmt": str(amount_fen), "backUrl": url}
    return transaction(asked, front=front, token=f"token-{number}", now=NOW)


def back_of(made: Transaction, query_id: str, kind: str = "04") -> Transaction:
    return replace(made, txn_type=kind, sub_type="00", orig_query_id=query_id, token="")


@pytest.fixture
def books(tmp_path) -> Iterator[UnionPay]:
    made = UnionPay(Store(tmp_path))
    merchant, _ = merchant_keys(mer_id=MER_ID, name="模拟医院")
    made.register(merchant)
    yield made
    made.store.close()


@pytest.fixture
def cards(books) -> Cards:
    return books.cards


def refused(code: str, call) -> None:
    with pytest.raises(WireError) as error:
        call()
    assert error.value.code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": "5.0.0"}, "10"),
        ({"orderId": "no-dashes"}, "10"),
        ({"orderId": "short"}, "10"),
        ({"txnTime": "20261301000000"}, "10"),
        ({"channelType": "99"}, "10"),
        ({"accessType": "1"}, "10"),
        ({"bizType": "000000"}, "32"),
        ({"txnType": "02"}, "32"),
    ],
)
def test_requests_that_are_not_taken(change, code):
    check(ASKED)
    refused(code, lambda: check(ASKED | change))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"txnAmt": "0"}, "10"),
        ({"txnAmt": "12.34"}, "10"),
        ({"currencyCode": "840"}, "10"),
        ({"backUrl": ""}, "13"),
        ({"payTimeout": STAMP[:-1]}, "10"),
        ({"payTimeout": "20200101000000"}, "10"),
        ({"txnTime": "20200101000000"}, "39"),
        ({"riskRateInfo": "x"}, "10"),
    ],
)
def test_transactions_that_are_not_taken(change, code):
    refused(code, lambda: transaction(ASKED | change, front=True, token="t", now=NOW))


def test_a_number_and_its_time_are_one_transaction(books):
    placed = books.place(order("ORDER0001"))
    assert books.place(order("ORDER0001")) == placed
    refused("12", lambda: books.place(order("ORDER0001", 1)))
    refused("34", lambda: books.ask(MER_ID, "ORDER0001", STAMP, now=NOW))
    paid = books.pay(placed, now=NOW)
    refused("12", lambda: books.pay(books.of_token("token-ORDER0001"), now=NOW))
    refused("12", lambda: books.place(order("ORDER0001")))
    told = books.ask(MER_ID, "ORDER0001", STAMP, now=NOW)
    assert (told["origRespCode"], told["queryId"], told["settleAmt"]) == ("00", paid.query_id, "1234")
    refused("34", lambda: books.ask(MER_ID, "ORDER0001", "20261130000000", now=NOW))


def test_money_goes_back_once(books):
    paid = books.pay(books.place(order("ORDER0002")), now=NOW)

    def back(number: str, amount_fen: int, kind: str = "04", of: str = paid.query_id) -> Transaction:
        wanted = replace(
            order(number, amount_fen, front=False), txn_type=kind, sub_type="00", orig_query_id=of, token=""
        )
        return books.give_back(wanted, now=NOW)

    refused("35", lambda: back("BACK00000", 1, of="nothing"))
    refused("36", lambda: back("BACK00001", 1, kind="31"))
    back("BACK00002", 1000)
    refused("12", lambda: back("BACK00002", 1000))
    refused("36", lambda: back("BACK00003", 235))
    refused("36", lambda: back("BACK00004", 1234, kind="31"))
    back("BACK00005", 234)
    refused("45", lambda: back("BACK00006", 1))
    books.settle_due(now=NOW + timedelta(seconds=5))
    assert {each.state for each in books.transactions} == {"done"}


def test_a_void_of_today_gives_everything_back(books):
    paid = books.pay(books.place(order("ORDER0003")), now=NOW)
    wanted = replace(
        order("VOID00001", front=False), txn_type="31", sub_type="00", orig_query_id=paid.query_id, token=""
    )
    refused("39", lambda: books.give_back(wanted, now=NOW + timedelta(days=1)))
    assert books.give_back(wanted, now=NOW).query_id != paid.query_id


def test_codes_hold_for_one_purpose_three_tries_and_five_minutes(cards):
    facts = {"mer_id": MER_ID, "order_id": "SMS000001", "txn_time": STAMP, "phone": "13552535506", "sent_at": NOW}
    sent = cards.send_code(Message(code="123456", amount_fen=5, token="t", **facts))
    for _ in range(3):
        refused("66", lambda: cards.code_fits(sent.key, "654321", amount_fen=5, token="t", now=NOW))
    refused("66", lambda: cards.code_fits(sent.key, "123456", amount_fen=5, token="t", now=NOW))
    again = cards.send_code(Message(code="111111", amount_fen=5, token="t", **facts))
    refused("66", lambda: cards.code_fits(again.key, "111111", amount_fen=6, token="t", now=NOW))
    late = NOW + timedelta(minutes=6)
    refused("66", lambda: cards.code_fits(again.key, "111111", amount_fen=5, token="t", now=late))
    assert cards.code_fits(again.key, "111111", amount_fen=5, token="t", now=NOW) == replace(again, tries_left=2)
    refused("66", lambda: cards.code_fits(again.key, "111111", amount_fen=5, token="t", now=NOW))


def test_tokens_end(cards):
    opening = Opening(mer_id=MER_ID, order_id="OPEN00001", txn_time=STAMP)
    refused("61", lambda: cards.open(opening, "6216261000000000019", "13552535506"))
    opened = cards.open(opening, "6216261000000000018", "13552535506")
    refused("12", lambda: cards.open(opened, "6216261000000000018", "13552535506"))
    refused("40", lambda: cards.with_token("777000000000000", opened.token))
    cards.delete(MER_ID, opened.token)
    refused("40", lambda: cards.delete(MER_ID, opened.token))
    refused("34", lambda: cards.of_page("nobody"))


def test_signatures_of_merchants(tmp_path):
    authority = Authority(tmp_path)
    for method in ("11", "12"):
        merchant, _ = merchant_keys(mer_id=MER_ID, name="m", sign_method=method)
        signed = authority.sign(dict(ASKED), merchant)
        verify(signed, merchant)
        refused("11", lambda signed=signed, merchant=merchant: verify(signed | {"txnAmt": "1"}, merchant))
        refused("11", lambda signed=signed, merchant=merchant: verify(signed | {"signMethod": "01"}, merchant))
        refused("10", lambda merchant=merchant: check_merchant(replace(merchant, secure_key="")))
    merchant, _ = merchant_keys(mer_id=MER_ID, name="m")
    refused("11", lambda: verify({"signMethod": "01", "certId": "1", "signature": "x"}, merchant))
    refused("11", lambda: verify({"signMethod": "01", "certId": merchant.cert_id, "signature": "x"}, merchant))
    refused("10", lambda: check_merchant(replace(merchant, public_key_pem="nonsense")))
    refused("10", lambda: authority.decrypt("AAAA"))


def test_certificates_are_made_once_and_private(tmp_path):
    first, second = Authority(tmp_path), Authority(tmp_path)
    assert first.pem == second.pem
    assert first.encrypt_cert_id == second.encrypt_cert_id
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("unionpay-*.pem")} == {0o600}


def test_records_have_607_bytes_whatever_the_text(books):
    paid = books.pay(books.place(replace(order("ORDER0004"), req_reserved="退号说明" * 20)), now=NOW)
    record = settling.record(settling.Row(paid))
    assert len(record) == 607
    assert record[112:144].rstrip() == b"ORDER0004"
    assert record[166:179] == b"D000000000007"
    assert record[397:429].decode("gbk") == "退号说明" * 4


def test_days_are_found_by_month_and_day(books):
    merchant = next(iter(books.merchants))
    refused("10", lambda: settling.packed(books, merchant, "1301", now=NOW))
    today = NOW.astimezone(BEIJING).date()
    refused("98", lambda: settling.packed(books, merchant, f"{today:%m%d}", now=NOW))
    refused("10", lambda: settling.packed(books, merchant, f"{today - timedelta(days=90):%m%d}", now=NOW))
    refused("10", lambda: settling.close_day(books, date(2026, 1, 1), kinds=("weather",), count=1, seed=0))
    books.pay(books.place(order("ORDER0005")), now=NOW)
    day = parse_time(f"{books.settle_date(NOW)}000000")
    later = day + timedelta(days=1, hours=3)
    name, content = settling.packed(books, merchant, f"{day:%m%d}", now=later)
    assert name == f"{MER_ID}_{day:%Y%m%d}.zip"
    assert content


def test_a_restart_keeps_everything(tmp_path, books):
    placed = books.place(order("ORDER0006"))
    paid = books.pay(placed, now=NOW)
    wanted = replace(
        order("BACK00010", 5, front=False), txn_type="04", sub_type="00", orig_query_id=paid.query_id, token=""
    )
    books.give_back(wanted, now=NOW)
    asyncio.run(books.store.flush())
    again = UnionPay(Store(tmp_path))
    assert again.of_token("token-ORDER0006") == paid
    assert len(again.settling) == 1
    assert len(again.pending) == 1
    again.settle_due(now=NOW + timedelta(seconds=5))
    assert not again.settling
    refused("36", lambda: again.give_back(replace(wanted, order_id="BACK00011", amount_fen=1230), now=NOW))
    again.store.close()


def test_faults_strike_as_often_as_asked_and_where():
    faults = Faults(path="/query", answer_5xx=2, read_lag=-1)
    assert [faults.strikes("answer_5xx", "/queryTrans.do") for _ in range(3)] == [True, True, False]
    assert not faults.strikes("read_lag", "/files/")
    assert faults.strikes("read_lag", "/queryTrans.do")


def test_composed_fields():
    assert braces("{a=1&b=x=y}") == {"a": "1", "b": "x=y"}
    refused("10", lambda: braces("a=1"))


def test_notices_are_repeated_dropped_and_doubled(world, listener, until):
    merchant, _ = merchant_keys(mer_id=MER_ID, name="模拟医院")
    world.control("/control/unionpay/merchants", msgspec.to_builtins(merchant))
    world.control("/control/unionpay/conditions", {"notice_factor": 0.01})
    books = world._world.unionpay

    def state_of(number: str) -> dict:
        return next(each for each in world.control("/control/unionpay/notices") if each["fields"]["orderId"] == number)

    listener.status = 500
    books.place(order("NOTICE0001", url=listener.url))
    world.control("/control/unionpay/pay", {"order_id": "NOTICE0001"})
    listener.wait(2)
    listener.status = 200
    until(lambda: state_of("NOTICE0001")["state"] == "delivered")
    fields = dict(parse_qsl(listener.got[0][1].decode()))
    assert (fields["respCode"], fields["orderId"], fields["txnAmt"]) == ("00", "NOTICE0001", "1234")
    assert fields["signPubKeyCert"].startswith("-----BEGIN CERTIFICATE-----")
    world.control("/control/unionpay/faults", {"drop_notices": 1, "duplicate_notices": 1, "path": listener.url})
    books.place(order("NOTICE0002", url=listener.url))
    world.control("/control/unionpay/pay", {"order_id": "NOTICE0002"})
    assert state_of("NOTICE0002")["state"] == "dropped"
    before = len(listener.got)
    world.control("/control/unionpay/notices/send-again", {"notice_id": state_of("NOTICE0002")["notice_id"]})
    listener.wait(before + 2)
    world.control("/control/unionpay/faults", {})


def test_payer_page_pays_cancels_and_explains(world):
    merchant, _ = merchant_keys(mer_id=MER_ID, name="模拟医院")
    world.control("/control/unionpay/merchants", msgspec.to_builtins(merchant))
    for number in ("PAGE000001", "PAGE000002"):
        world._world.unionpay.place(replace(order(number), front_url='javascript:alert("x")'))
    with httpx.Client(base_url=world.url, trust_env=False) as browser:
        page = browser.get("/unionpay/pay/token-PAGE000001")
        assert "¥ 12.34" in page.text
        assert "已取消" in browser.post("/unionpay/pay/token-PAGE000002", data={"decision": "cancel"}).text
        paid = browser.post("/unionpay/pay/token-PAGE000001", data={"decision": "pay"})
        assert "支付成功" in paid.text
        assert "javascript" not in paid.text
        assert browser.post("/unionpay/pay/token-PAGE000001", data={"decision": "pay"}).status_code == 400
        assert browser.get("/unionpay/pay/nobody").status_code == 404
        assert "respCode=31" in browser.post("/unionpay/gateway/api/queryTrans.do", data={"merId": "x"}).text
        unsigned = browser.post("/unionpay/gateway/api/backTransReq.do", data=ASKED | {"signMethod": "01"})
        assert "respCode=11" in unsigned.text


def test_control_refuses_what_it_does_not_know(world):
    for path, body in (
        ("faults", {"weather": 1}),
        ("pay", {"order_id": "NOBODY0001"}),
        ("merchants", {"mer_id": "../x", "cert_id": "1", "public_key_pem": "p"}),
        ("notices/send-again", {"notice_id": "x"}),
        ("settle-refund", {"order_id": "x", "state": "odd"}),
    ):
        with pytest.raises(httpx.HTTPStatusError):
            world.control(f"/control/unionpay/{path}", body)
