"""The simulator against python-alipay-sdk 3.4.0 (fzlee), which others wrote and merchants use.

What the SDK sends is understood, and what the simulator signs is believed. The SDK stamps its requests with local time
and Alipay reads them as Beijing's, so the tests run in that zone. It checks neither app nor amount of a notice: that is
the adapter's to do.
"""

from __future__ import annotations

import http.server
import io
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError
from alipay.utils import AliPayConfig

from yimatong.kit import clock
from yimatong.sandbox.alipay.enrolment import EnrolledApp, enrol_app

APP_ID, PID = "2021000000000001", "2088000000000001"


@pytest.fixture(autouse=True)
def _beijing(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _calm(world) -> Iterator[None]:
    yield
    world.control("/control/alipay/faults", {})
    world.control("/control/alipay/conditions", {})


@pytest.fixture(scope="module")
def app(world) -> EnrolledApp:
    return enrol_app(world.control, app_id=APP_ID, pid=PID)


@pytest.fixture
def shop() -> Iterator[tuple[str, list[bytes]]]:
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"success")

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/n", got
    server.shutdown()
    server.server_close()


@pytest.fixture
def sdk(app, world, shop) -> AliPay:
    made = AliPay(
        appid=app.app_id,
        app_notify_url=shop[0],
        app_private_key_string=app.private_key_pem,
        alipay_public_key_string=app.alipay_public_key_pem,
        sign_type="RSA2",
        config=AliPayConfig(timeout=10),
    )
    made._gateway = f"{world.url}/alipay/gateway.do"
    return made


def wait(holds, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    assert holds()


def test_precreate_query_pay_and_close(sdk, world):
    assert sdk.api_alipay_trade_query(out_trade_no="NOBODY01")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    placed = sdk.api_alipay_trade_precreate("门诊缴费", "SDK0001", "12.34")
    assert placed["code"] == "10000"
    httpx.get(placed["qr_code"], trust_env=False).raise_for_status()
    assert sdk.api_alipay_trade_query(out_trade_no="SDK0001")["trade_status"] == "WAIT_BUYER_PAY"
    world.control("/control/alipay/pay", {"out_trade_no": "SDK0001"})
    found = sdk.api_alipay_trade_query(out_trade_no="SDK0001")
    assert (found["trade_status"], found["total_amount"]) == ("TRADE_SUCCESS", "12.34")
    assert sdk.api_alipay_trade_query(trade_no=found["trade_no"])["out_trade_no"] == "SDK0001"
    assert sdk.api_alipay_trade_close(out_trade_no="SDK0001")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    again = sdk.api_alipay_trade_precreate("门诊缴费", "SDK0001", "12.34")
    assert again["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"


def test_a_payment_code(sdk):
    taken = sdk.api_alipay_trade_pay("SDK0002", "bar_code", "28763443825664394", "门诊缴费", total_amount="1.00")
    assert (taken["code"], taken["total_amount"]) == ("10000", "1.00")
    again = sdk.api_alipay_trade_pay("SDK0003", "bar_code", "28763443825664394", "门诊缴费", total_amount="1.00")
    assert again["sub_code"] == "ACQ.PAYMENT_AUTH_CODE_INVALID"
    assert sdk.api_alipay_trade_cancel(out_trade_no="SDK0002")["action"] == "refund"
    assert sdk.api_alipay_trade_query(out_trade_no="SDK0002")["trade_status"] == "TRADE_CLOSED"


def test_refunds_move_money_once(sdk, world):
    sdk.api_alipay_trade_precreate("门诊缴费", "SDK0004", "10.00")
    world.control("/control/alipay/pay", {"out_trade_no": "SDK0004"})
    refused = sdk.api_alipay_trade_refund("4.00", out_trade_no="SDK0004")
    assert refused["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    changes = [
        sdk.api_alipay_trade_refund("4.00", out_trade_no="SDK0004", out_request_no="R1")["fund_change"]
        for _ in range(2)
    ]
    assert changes == ["Y", "N"]
    found = sdk.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="SDK0004")
    assert (found["refund_status"], found["refund_amount"]) == ("REFUND_SUCCESS", "4.00")
    nothing = sdk.api_alipay_trade_fastpay_refund_query("R9", out_trade_no="SDK0004")
    assert (nothing["code"], "refund_status" in nothing) == ("10000", False)


@pytest.mark.parametrize(("kind", "path"), [("wap", "Wap"), ("page", "Page")])
def test_pages_that_the_sdk_signs_and_the_way_back(sdk, world, kind, path):
    make = getattr(sdk, f"api_alipay_trade_{kind}_pay")
    signed = make("门诊缴费", f"SDK{path}", "12.34", return_url="http://127.0.0.1:9/back")
    with httpx.Client(trust_env=False) as browser:
        page = browser.get(f"{world.url}/alipay/gateway.do?{signed}")
        form = page.text.split('action="')[1].split('"')[0]
        gone = browser.post(world.url + form, data={"decision": "pay"})
        forged = browser.get(f"{world.url}/alipay/gateway.do?{signed.replace('12.34', '00.01')}")
    back = dict(parse_qsl(urlsplit(gone.headers["location"]).query))
    sign = back.pop("sign")
    assert sdk.verify(back, sign)
    assert not sdk.verify(back | {"sign_type": "RSA2", "total_amount": "0.01"}, sign)
    assert (forged.status_code, "isv.invalid-signature" in forged.text) == (400, True)


def test_an_order_string_of_the_sdk(sdk, world):
    order_string = sdk.api_alipay_trade_app_pay("门诊缴费", "SDKAPP1", "12.34")
    paid = world.control("/control/alipay/app-pay", {"order_string": order_string})
    assert paid["trade_status"] == "TRADE_SUCCESS"


def test_the_sdk_verifies_our_notices(sdk, world, shop):
    sdk.api_alipay_trade_precreate("门诊缴费 1+1", "SDK0005", "12.34")
    world.control("/control/alipay/pay", {"out_trade_no": "SDK0005"})
    wait(lambda: shop[1])
    told = dict(parse_qsl(shop[1][0].decode()))
    sign = told.pop("sign")
    assert sdk.verify(dict(told), sign)
    assert (told["trade_status"], told["seller_id"], told["app_id"]) == ("TRADE_SUCCESS", PID, APP_ID)
    assert not sdk.verify(told | {"total_amount": "0.01"}, sign)


def test_a_bill_through_the_sdk(sdk, world):
    sdk.api_alipay_trade_precreate("门诊缴费", "SDK0006", "12.34")
    world.control("/control/alipay/pay", {"out_trade_no": "SDK0006"})
    day = clock.business_date(clock.now()).isoformat()
    asked = {"bill_type": "trade", "bill_date": day}
    method = "alipay.data.dataservice.bill.downloadurl.query"
    assert sdk.server_api(method, asked)["sub_code"] == "isp.bill_not_exist"
    world.control("/control/alipay/close-day", {"date": day, "kinds": []})
    url = sdk.server_api(method, asked)["bill_download_url"]
    with urllib.request.urlopen(url) as reply, zipfile.ZipFile(io.BytesIO(reply.read())) as archive:
        assert "SDK0006\t" in archive.read(archive.namelist()[0]).decode("gbk")
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(url + "x")
    refused.value.close()


def test_what_the_sdk_does_not_believe(sdk, app, world):
    world.control("/control/alipay/faults", {"wrong_signatures": 1})
    with pytest.raises(AliPayValidationError):
        sdk.api_alipay_trade_query(out_trade_no="NOBODY01")
    world.control("/control/alipay/faults", {"unsigned_answers": 1})
    with pytest.raises(AliPayException):
        sdk.api_alipay_trade_query(out_trade_no="NOBODY01")
    other = enrol_app(world.control, app_id="2021000000000002", pid="2088000000000002")
    stranger = AliPay(
        appid=app.app_id,
        app_private_key_string=other.private_key_pem,
        alipay_public_key_string=app.alipay_public_key_pem,
    )
    stranger._gateway = sdk._gateway
    assert stranger.api_alipay_trade_query(out_trade_no="SDK0001")["sub_code"] == "isv.invalid-signature"


def test_a_client_in_another_zone_is_refused(sdk, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert sdk.api_alipay_trade_query(out_trade_no="SDK0001")["sub_code"] == "isv.invalid-timestamp"
