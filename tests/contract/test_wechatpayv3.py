"""The simulator against wechatpayv3 2.0.4 in public-key mode.

What the SDK sends is understood, and what the simulator signs is believed.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import threading
import time
from datetime import timedelta

import httpx
import pytest
from wechatpayv3 import WeChatPayType

from yimatong.kit import clock

H5_SCENE = {"payer_client_ip": "10.0.0.1", "h5_info": {"type": "Wap"}}


def said(answer) -> tuple[int, str]:
    """Return the status and WeChat's code of a refusal."""
    status, text = answer
    return status, json.loads(text)["code"]


@pytest.mark.parametrize(
    ("kind", "key", "more"),
    [
        (WeChatPayType.NATIVE, "code_url", {}),
        (WeChatPayType.JSAPI, "prepay_id", {"payer": {"openid": "oPayer"}}),
        (WeChatPayType.APP, "prepay_id", {}),
        (WeChatPayType.H5, "h5_url", {"scene_info": H5_SCENE}),
    ],
)
def test_every_way_to_place_an_order(sdk, kind, key, more):
    status, text = sdk.pay("门诊缴费", f"PLACE-{kind.name}", {"total": 1}, pay_type=kind, **more)
    assert status == 200
    assert set(json.loads(text)) == {key}


def test_query_close_and_their_errors(sdk, world):
    sdk.pay("门诊缴费", "LIFE0001", {"total": 100})
    assert json.loads(sdk.query(out_trade_no="LIFE0001")[1])["trade_state"] == "NOTPAY"
    paid = world.control("/control/wechat/pay", {"out_trade_no": "LIFE0001"})
    told = json.loads(sdk.query(transaction_id=paid["transaction_id"])[1])
    assert (told["trade_state"], told["out_trade_no"], told["amount"]["payer_total"]) == ("SUCCESS", "LIFE0001", 100)
    assert said(sdk.close("LIFE0001")) == (400, "ORDERPAID")
    assert said(sdk.pay("门诊缴费", "LIFE0001", {"total": 100})) == (400, "ORDERPAID")
    sdk.pay("门诊缴费", "LIFE0002", {"total": 100})
    assert sdk.close("LIFE0002")[0] == 204
    assert said(sdk.pay("门诊缴费", "LIFE0002", {"total": 100})) == (400, "ORDER_CLOSED")
    assert said(sdk.query(out_trade_no="NOBODY01")) == (404, "ORDER_NOT_EXIST")
    assert said(sdk.close("NOBODY01")) == (404, "ORDER_NOT_EXIST")
    assert said(sdk.query(transaction_id="4200000")) == (404, "ORDER_NOT_EXIST")
    assert said(sdk.query(out_trade_no="LIFE0001", mchid="1900000999")) == (400, "PARAM_ERROR")


@pytest.mark.parametrize(
    "change",
    [
        {"out_trade_no": "SHORT"},
        {"out_trade_no": "x" * 33},
        {"out_trade_no": "BAD NUMBER"},
        {"amount": {"total": 0.5}},
        {"amount": {"total": -1}},
        {"amount": {"total": "1"}},
        {"amount": {"total": 1, "currency": "USD"}},
        {"description": "长" * 128},
        {"notify_url": "http://127.0.0.1:9/notify?a=1"},
        {"time_expire": "2020-01-01T00:00:00+08:00"},
        {"time_expire": "tomorrow"},
        {"pay_type": WeChatPayType.H5, "scene_info": {"payer_client_ip": "10.0.0.1"}},
        {"mchid": "1900000200"},
    ],
)
def test_fields_outside_their_limits(sdk, change):
    order = {"description": "门诊缴费", "out_trade_no": "LIMITS0001", "amount": {"total": 1}}
    assert said(sdk.pay(**(order | change))) == (400, "PARAM_ERROR")


def test_limits_themselves_are_allowed(sdk):
    number = "aZ09_-ab" * 4  # the SDK signs | and * as they are and sends them encoded
    status, _ = sdk.pay("长" * 127, number, {"total": 1})
    assert status == 200
    assert sdk.query(out_trade_no=number)[0] == 200


def test_signatures_that_do_not_hold(sdk, stranger, world, monkeypatch):
    assert said(stranger.query(out_trade_no="LIMITS0001")) == (401, "SIGN_ERROR")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 310)
    assert said(sdk.query(out_trade_no="NOBODY01")) == (401, "SIGN_ERROR")
    monkeypatch.undo()
    naked = httpx.get(f"{world.url}/v3/pay/transactions/out-trade-no/NOBODY01?mchid=1900000109", trust_env=False)
    assert (naked.status_code, naked.json()["code"]) == (401, "SIGN_ERROR")
    assert naked.headers["wechatpay-serial"].startswith("PUB_KEY_ID_")


def test_refunds(sdk, world):
    sdk.pay("门诊缴费", "REFUND01", {"total": 100})
    amount = {"refund": 60, "total": 100, "currency": "CNY"}
    assert said(sdk.refund("R-1", amount, out_trade_no="REFUND01")) == (400, "INVALID_REQUEST")
    paid = world.control("/control/wechat/pay", {"out_trade_no": "REFUND01"})
    status, text = sdk.refund("R-1", amount, transaction_id=paid["transaction_id"], reason="退号")
    assert (status, json.loads(text)["status"]) == (200, "PROCESSING")
    assert said(sdk.refund("R-2", amount, out_trade_no="REFUND01")) == (400, "INVALID_REQUEST")
    assert said(sdk.refund("R-3", amount | {"total": 99}, out_trade_no="REFUND01")) == (400, "INVALID_REQUEST")
    assert said(sdk.refund("R-4", amount, out_trade_no="NOBODY01")) == (404, "RESOURCE_NOT_EXISTS")
    assert said(sdk.refund("R 5", amount, out_trade_no="REFUND01")) == (400, "PARAM_ERROR")
    assert said(sdk.query_refund("NOBODY")) == (404, "RESOURCE_NOT_EXISTS")
    world.control("/control/wechat/faults", {"not_enough": 1})
    small = amount | {"refund": 1}
    assert said(sdk.refund("R-6", small, out_trade_no="REFUND01")) == (403, "NOT_ENOUGH")
    world.control("/control/wechat/settle-refund", {"mchid": "1900000109", "out_refund_no": "R-1"})
    assert json.loads(sdk.query_refund("R-1")[1])["status"] == "SUCCESS"
    assert json.loads(sdk.query(out_trade_no="REFUND01")[1])["trade_state"] == "REFUND"


@pytest.fixture
def caught():
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/n", got
    server.shutdown()
    server.server_close()


def test_the_sdk_verifies_and_opens_our_notices(sdk, world, caught):
    url, got = caught
    world.control("/control/wechat/conditions", {"refund_settles_s": 0})
    sdk.pay("门诊缴费", "NOTICE01", {"total": 100}, notify_url=url)
    world.control("/control/wechat/pay", {"out_trade_no": "NOTICE01"})
    sdk.refund("R-N1", {"refund": 100, "total": 100, "currency": "CNY"}, out_trade_no="NOTICE01", notify_url=url)
    end = time.monotonic() + 20
    while len(got) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    told = {notice["event_type"]: notice["resource"] for notice in (sdk.callback(*each) for each in got)}
    assert told["TRANSACTION.SUCCESS"]["amount"]["total"] == 100
    assert told["REFUND.SUCCESS"]["refund_status"] == "SUCCESS"
    headers, body = got[0]
    assert sdk.callback(headers, body.replace(b"TRANSACTION", b"TRANSACTIOM")) is None


def test_bills_through_the_sdk(sdk, world):
    today = clock.business_date(clock.now())
    day = today.isoformat()
    for number in range(8):
        sdk.pay("门诊缴费", f"BILL000{number}", {"total": 100 + number})
        world.control("/control/wechat/pay", {"out_trade_no": f"BILL000{number}"})
    assert said(sdk.trade_bill(day)) == (400, "NO_STATEMENT_EXIST")
    kinds = ["amount", "channel_only", "platform_only", "fee", "duplicate", "status"]
    closed = world.control("/control/wechat/close-day", {"date": day, "seed": 7, "kinds": kinds})
    assert [each["kind"] for each in closed["planted"]] == kinds
    for bill_type, columns in (("ALL", 27), ("SUCCESS", 20), ("REFUND", 29)):
        status, text = sdk.trade_bill(day, bill_type=bill_type)
        place = json.loads(text)
        status, packed = sdk.download_bill(place["download_url"])
        plain = gzip.decompress(packed)
        assert status == 200
        assert hashlib.sha1(plain).hexdigest() == place["hash_value"]
        assert len(plain.decode().split("\r\n")[0].split(",")) == columns
    place = json.loads(sdk.trade_bill(day, tar_type="")[1])
    shown = sdk.download_bill(place["download_url"])[1].decode()
    dropped = next(each for each in closed["planted"] if each["kind"] == "platform_only")
    state = "`NATIVE,`REFUND," if dropped["out_refund_no"] else "`NATIVE,`SUCCESS,"
    assert not [
        line
        for line in shown.splitlines()
        if dropped["transaction_id"] + "," in line and state in line and dropped["out_refund_no"] in line
    ]
    for each in closed["planted"]:
        if each["kind"] not in ("platform_only", "duplicate"):
            assert each["out_trade_no"] in shown
    assert said(sdk.trade_bill("2020-13-01")) == (400, "PARAM_ERROR")
    assert said(sdk.trade_bill(day, bill_type="SOME")) == (400, "PARAM_ERROR")
    assert said(sdk.trade_bill((today + timedelta(days=1)).isoformat())) == (400, "NO_STATEMENT_EXIST")
    with pytest.raises(httpx.HTTPStatusError):
        world.control("/control/wechat/close-day", {"date": day, "kinds": ["weather"]})


def test_payment_codes_through_the_sdk(sdk, world):
    def scan(number: str, ends: str):
        shown = world.control("/control/wechat/payment-codes", {"ends": ends})
        scene = {"store_info": {"out_id": "WINDOW-7"}, "device_ip": "10.0.0.1"}
        payer = {"auth_code": shown["auth_code"]}
        amount = {"total": 100, "currency": "CNY"}
        return sdk.pay("门诊缴费", number, amount, payer=payer, scene_info=scene, pay_type=WeChatPayType.CODEPAY)

    status, text = scan("CODE0001", "pays")
    told = json.loads(text)
    assert (status, told["trade_state"], told["trade_type"]) == (200, "SUCCESS", "MICROPAY")
    assert json.loads(scan("CODE0002", "asks")[1])["trade_state"] == "USERPAYING"
    assert said(scan("CODE0003", "asks_refusing")) == (400, "USERPAYING")
    assert said(scan("CODE0004", "poor")) == (403, "NOT_ENOUGH")
    assert said(sdk.close("CODE0002")) == (400, "INVALID_REQUEST")
    for number in ("CODE0001", "CODE0002", "CODE0003"):
        assert sdk.codepay_reverse(number)[0] == 204
        assert json.loads(sdk.query(out_trade_no=number)[1])["trade_state"] == "REVOKED"
    assert said(sdk.codepay_reverse("NOBODY01")) == (404, "ORDER_NOT_EXIST")
    assert said(sdk.codepay_reverse("REFUND01")) == (400, "INVALID_REQUEST")


def test_fund_flow_bill_through_the_sdk(sdk):
    day = clock.business_date(clock.now()).isoformat()
    place = json.loads(sdk.fundflow_bill(day)[1])
    plain = gzip.decompress(sdk.download_bill(place["download_url"])[1])
    assert hashlib.sha1(plain).hexdigest() == place["hash_value"]
    assert len(plain.decode().split("\r\n")[0].split(",")) == 11
    assert said(sdk.fundflow_bill(day, account_type="FEES")) == (400, "PARAM_ERROR")


def test_the_sdk_opens_our_list_of_certificates_and_believes_what_they_sign(sdk, world, caught):
    serials = [each["serial_no"] for each in world.control("/control/wechat/certificates")]
    sdk._core._update_certificates()
    assert [f"{each.serial_number:X}" for each in sdk._core._certificates] == serials
    world.control("/control/wechat/conditions", {"notice_certificate_percent": 100})
    url, got = caught
    sdk.pay("门诊缴费", "CERTIFIED1", {"total": 100}, notify_url=url)
    world.control("/control/wechat/pay", {"out_trade_no": "CERTIFIED1"})
    end = time.monotonic() + 20
    while not got and time.monotonic() < end:
        time.sleep(0.02)
    headers, body = got[0]
    assert headers["Wechatpay-Serial"] == serials[-1]
    assert sdk.callback(headers, body)["resource"]["out_trade_no"] == "CERTIFIED1"
    assert sdk.callback(headers, body.replace(b"TRANSACTION", b"TRANSACTIOM")) is None


def test_an_identity_that_the_sdk_seals_opens_at_ours(sdk, world):
    sealed, key_id = sdk._core.encrypt("张三丰"), world.control("/control/wechat/platform-key")["platform_key_id"]
    assert world._world.wechat.signers.opened(sealed, key_id) == "张三丰"


def test_slow_down_in_the_sdk_s_eyes(sdk, world):
    world.control("/control/wechat/faults", {"frequency_limited": 1})
    assert said(sdk.query(out_trade_no="NOBODY01")) == (429, "FREQUENCY_LIMITED")


def test_somebody_else_s_download_token_is_worthless(sdk, stranger, world):
    place = json.loads(sdk.trade_bill(clock.business_date(clock.now()).isoformat())[1])
    stranger._core._mchid = "1900000200"
    status, content = stranger.download_bill(place["download_url"])
    assert (status, json.loads(content)["code"]) == (400, "INVALID_REQUEST")
